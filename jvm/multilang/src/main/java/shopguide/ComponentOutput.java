package shopguide;

import java.io.IOException;
import java.io.InputStream;
import org.msgpack.core.buffer.MessageBuffer;
import org.msgpack.core.buffer.MessageBufferInput;

/** A component's stdout, piece by piece as it comes; the newest piece can be shown. */
final class ComponentOutput implements MessageBufferInput {

    private static final int SHOWN = 200;

    private final InputStream stream;
    private final byte[] piece = new byte[1 << 16];
    private int length;
    private long end;

    ComponentOutput(InputStream stream) {
        this.stream = stream;
    }

    @Override
    public MessageBuffer next() throws IOException {
        length = Math.max(0, stream.read(piece));
        end += length;
        return length == 0 ? null : MessageBuffer.wrap(piece, 0, length);
    }

    /** What the newest piece holds of the stream from its byte {@code start} on, as Python shows bytes. */
    String since(long start) {
        int from = (int) Math.max(0, length - (end - start));
        StringBuilder text = new StringBuilder("b'");
        for (int i = from; i < Math.min(length, from + SHOWN); i++) {
            boolean plain = piece[i] >= ' ' && piece[i] <= '~';
            text.append(plain ? (char) piece[i] : piece[i] == '\n' ? "\\n" : String.format("\\x%02x", piece[i]));
        }
        return text.append(length - from > SHOWN ? "'..." : "'").toString();
    }

    @Override
    public void close() throws IOException {
        stream.close();
    }
}
