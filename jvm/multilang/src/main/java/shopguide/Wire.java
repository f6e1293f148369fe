package shopguide;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.CodingErrorAction;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.storm.multilang.NoOutputException;
import org.msgpack.core.MessageFormat;
import org.msgpack.core.MessageFormatException;
import org.msgpack.core.MessageInsufficientBufferException;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessagePacker;
import org.msgpack.core.MessageSizeException;
import org.msgpack.core.MessageUnpacker;

/**
 * A component's two pipes as msgpack objects.
 *
 * <p>Values: bin is {@code byte[]}, str is {@code String}, an integer is {@code Long}, above its range {@code
 * BigInteger}, a float is {@code Double}. Arrays and maps are the {@code ArrayList} and {@code HashMap} that Storm's
 * Kryo knows. Python takes text and bytes as keys: any other key of a map becomes text on its way there.
 *
 * <p>Bytes that are no message end the component: text that it printed has no end that could be found, so nothing after
 * it can be trusted. The exception shows what came.
 *
 * <p>Storm reads in one thread and writes in another; they share nothing here.
 */
final class Wire {

    /** Bytes in one value. A length is only a claim: no array is made for it unless the heap has ample room. */
    static final int LARGEST = (int) Math.min(256 << 20, Runtime.getRuntime().maxMemory() / 4);

    /** Values in each other; msgpack's packer in Python stops there too. */
    static final int DEEPEST = 512;

    private static final String PRINTS = ": does it print to stdout?";
    private static final Set<MessageFormat> MAPS =
            EnumSet.of(MessageFormat.FIXMAP, MessageFormat.MAP16, MessageFormat.MAP32);

    private final MessagePacker out;
    private final MessageUnpacker in;
    private final ComponentOutput output;

    Wire(OutputStream processIn, InputStream processOut) {
        out = MessagePack.newDefaultPacker(processIn);
        output = new ComponentOutput(processOut);
        in = new MessagePack.UnpackerConfig()
                .withStringSizeLimit(LARGEST)
                .withActionOnMalformedString(CodingErrorAction.REPORT)
                .newUnpacker(output);
    }

    void write(Object message) throws IOException {
        pack(message);
        out.flush();
    }

    Map<?, ?> read() throws IOException, NoOutputException {
        long start = in.getTotalReadBytes();
        try {
            if (MAPS.contains(in.getNextFormat())) {
                return (Map<?, ?>) unpack(1);
            }
        } catch (MessageInsufficientBufferException e) {
            throw new NoOutputException("the component's output has ended");
        } catch (MessageSizeException e) {
            throw broken("a length of " + e.getSize() + " where at most " + LARGEST + " is taken", e);
        } catch (MessagePackException e) {
            throw broken(e.getMessage(), e);
        }
        throw new IOException("the component wrote " + output.since(start) + " where a message should begin" + PRINTS);
    }

    private void pack(Object value) throws IOException {
        if (value == null) {
            out.packNil();
        } else if (value instanceof byte[]) {
            out.packBinaryHeader(((byte[]) value).length).writePayload((byte[]) value);
        } else if (value instanceof String) {
            out.packString((String) value);
        } else if (value instanceof Boolean) {
            out.packBoolean((Boolean) value);
        } else if (value instanceof Double || value instanceof Float || value instanceof BigDecimal) {
            out.packDouble(((Number) value).doubleValue());
        } else if (value instanceof BigInteger) {
            out.packBigInteger((BigInteger) value);
        } else if (value instanceof Number) {
            out.packLong(((Number) value).longValue());
        } else if (value instanceof Collection) {
            out.packArrayHeader(((Collection<?>) value).size());
            for (Object each : (Collection<?>) value) {
                pack(each);
            }
        } else if (value instanceof Map) {
            out.packMapHeader(((Map<?, ?>) value).size());
            for (Map.Entry<?, ?> each : ((Map<?, ?>) value).entrySet()) {
                pack(each.getKey() instanceof byte[] ? each.getKey() : String.valueOf(each.getKey()));
                pack(each.getValue());
            }
        } else {
            throw new IOException("msgpack has no type for the " + value.getClass().getName() + " " + value);
        }
    }

    private Object unpack(int depth) throws IOException {
        if (depth > DEEPEST) {
            throw new MessageFormatException("more than " + DEEPEST + " values in each other");
        }
        MessageFormat format = in.getNextFormat();
        switch (format.getValueType()) {
            case NIL:
                in.unpackNil();
                return null;
            case BOOLEAN:
                return in.unpackBoolean();
            case INTEGER:
                return format == MessageFormat.UINT64 ? narrowed(in.unpackBigInteger()) : (Number) in.unpackLong();
            case FLOAT:
                return in.unpackDouble();
            case STRING:
                return in.unpackString();
            case BINARY:
                return in.readPayload(checked(in.unpackBinaryHeader()));
            case ARRAY:
                List<Object> list = new ArrayList<>();
                for (int left = in.unpackArrayHeader(); left > 0; left--) {
                    list.add(unpack(depth + 1));
                }
                return list;
            case MAP:
                Map<Object, Object> map = new HashMap<>();
                for (int left = in.unpackMapHeader(); left > 0; left--) {
                    map.put(unpack(depth + 1), unpack(depth + 1));
                }
                return map;
            default:
                throw new MessageFormatException("a value of msgpack's type " + format);
        }
    }

    private static int checked(int length) {
        if (length > LARGEST) {
            throw new MessageSizeException(length);
        }
        return length;
    }

    private static IOException broken(String how, MessagePackException cause) {
        return new IOException("the component wrote a broken message, " + how + PRINTS, cause);
    }

    private static Number narrowed(BigInteger number) {
        return number.bitLength() < Long.SIZE ? (Number) number.longValue() : number;
    }
}
