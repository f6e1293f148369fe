package shopguide;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.storm.multilang.BoltMsg;
import org.apache.storm.multilang.NoOutputException;
import org.apache.storm.multilang.ShellMsg;
import org.apache.storm.multilang.SpoutMsg;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;
import org.msgpack.value.Value;
import org.msgpack.value.ValueFactory;

/** Messages to a component are read, and messages from it are made, by msgpack-core's own values. */
class MsgpackSerializerTest {

    private static final BigInteger LARGEST_INT = BigInteger.TWO.pow(64).subtract(BigInteger.ONE);

    // ---- from a component

    @Test
    void anEmitHasAllItsFields() throws Exception {
        ShellMsg msg = read(packed(Map.of("command", "emit", "id", "7", "stream", "rejected", "task", 3,
                "need_task_ids", false, "tuple", List.of("a", 1), "anchors", List.of("x", "y"))));
        assertEquals("emit", msg.getCommand());
        assertEquals("7", msg.getId());
        assertEquals("rejected", msg.getStream());
        assertEquals(3, msg.getTask());
        assertFalse(msg.areTaskIdsNeeded());
        assertEquals(List.of("a", 1L), msg.getTuple());
        assertEquals(List.of("x", "y"), msg.getAnchors());
    }

    @Test
    void whatAMessageLeavesOutIsAsStormWantsIt() throws Exception {
        ShellMsg msg = read(packed(Map.of("command", "emit")));
        assertEquals("default", msg.getStream());
        assertEquals(0, msg.getTask());
        assertTrue(msg.areTaskIdsNeeded());
        assertNull(msg.getId());
        assertNull(msg.getTuple());
        assertNull(msg.getAnchors());
        assertEquals(ShellMsg.ShellLogLevel.INFO, msg.getLogLevel());
    }

    @Test
    void nilCountsAsLeftOut() throws Exception {
        Map<String, Object> message = new HashMap<>(Map.of("command", "emit"));
        List.of("stream", "task", "need_task_ids", "anchors", "level").forEach(name -> message.put(name, null));
        ShellMsg msg = read(packed(message));
        assertEquals("default", msg.getStream());
        assertTrue(msg.areTaskIdsNeeded());
    }

    @Test
    void oneAnchorNeedsNoList() throws Exception {
        assertEquals(List.of("x"), read(packed(Map.of("command", "emit", "anchors", "x"))).getAnchors());
    }

    @Test
    void aLogHasItsLevel() throws Exception {
        ShellMsg msg = read(packed(Map.of("command", "log", "msg", "žluť\n", "level", 4)));
        assertEquals("žluť\n", msg.getMsg());
        assertEquals(ShellMsg.ShellLogLevel.ERROR, msg.getLogLevel());
    }

    @Test
    void aMetricHasNameAndParameters() throws Exception {
        ShellMsg msg = read(packed(Map.of("command", "metrics", "name", "events", "params", List.of(1, 2.5))));
        assertEquals("events", msg.getMetricName());
        assertEquals(List.of(1L, 2.5), msg.getMetricParams());
    }

    @Test
    void valuesComeInStormsTypes() throws Exception {
        List<Object> sent = Arrays.asList(null, true, -1, Long.MIN_VALUE, Long.MAX_VALUE, LARGEST_INT,
                1.5, 1.5f, Double.NaN, "", "kůň", List.of(List.of()), Map.of("a", Map.of("b", List.of(1))));
        List<Object> expected = Arrays.asList(null, true, -1L, Long.MIN_VALUE, Long.MAX_VALUE, LARGEST_INT,
                1.5, 1.5, Double.NaN, "", "kůň", List.of(List.of()), Map.of("a", Map.of("b", List.of(1L))));
        List<Object> tuple = emitted(sent);
        assertEquals(expected, tuple);
        assertEquals(ArrayList.class, tuple.get(11).getClass());
        assertEquals(HashMap.class, tuple.get(12).getClass());
    }

    @Test
    void bytesStayBytes() throws Exception {
        List<Object> tuple = emitted(List.of(new byte[0], new byte[] {0, -1, 10}));
        assertArrayEquals(new byte[0], (byte[]) tuple.get(0));
        assertArrayEquals(new byte[] {0, -1, 10}, (byte[]) tuple.get(1));
    }

    @Test
    void messagesFollowEachOtherHoweverTheyAreCut() throws Exception {
        byte[] ten = random(10 << 20);
        byte[] stream = join(packed(Map.of("command", "emit", "tuple", List.of("kůň".repeat(50_000), ten))),
                packed(Map.of("command", "sync")));
        MsgpackSerializer serializer = reading(new InPieces(stream));
        List<Object> tuple = serializer.readShellMsg().getTuple();
        assertEquals("kůň".repeat(50_000), tuple.get(0));
        assertArrayEquals(ten, (byte[]) tuple.get(1));
        assertEquals("sync", serializer.readShellMsg().getCommand());
        assertThrows(NoOutputException.class, serializer::readShellMsg);
    }

    @Test
    void anEndInsideAMessageIsAnEnd() {
        byte[] whole = packed(Map.of("command", "emit", "tuple", List.of("text", new byte[100])));
        for (int length = 0; length < whole.length; length++) {
            MsgpackSerializer serializer = reading(new ByteArrayInputStream(whole, 0, length));
            assertThrows(NoOutputException.class, serializer::readShellMsg);
        }
    }

    // ---- what is no message

    @Test
    void printedTextIsShown() throws Exception {
        byte[] stream = join(packed(Map.of("command", "sync")), "it's žluť\n".getBytes(StandardCharsets.UTF_8));
        MsgpackSerializer serializer = reading(new ByteArrayInputStream(stream));
        serializer.readShellMsg();
        assertEquals("the component wrote b'it's \\xc5\\xbelu\\xc5\\xa5\\n' where a message should begin: "
                + "does it print to stdout?", assertThrows(IOException.class, serializer::readShellMsg).getMessage());
    }

    @Test
    void longTextIsCut() {
        String message = refused("x".repeat(1000).getBytes(StandardCharsets.UTF_8));
        assertTrue(message.startsWith("the component wrote b'" + "x".repeat(200) + "'... where"), message);
    }

    @ParameterizedTest
    @ValueSource(ints = {0x00, 0x80 - 1, 0x93, 0xa5, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9, 0xcf, 0xd9, 0xdc, 0xdd, 0xff})
    void nothingButAMapIsAMessage(int first) {
        assertTrue(refused((byte) first).contains("where a message should begin"));
    }

    @ParameterizedTest
    @MethodSource("brokenValues")
    void aBrokenValueIsOneClearError(String says, byte[] value) {
        String message = refused(join(bytes(0x82), packed("command"), packed("emit"), packed("tuple"), value));
        assertTrue(message.startsWith("the component wrote a broken message, "), message);
        assertTrue(message.contains(says) && message.endsWith(": does it print to stdout?"), message);
    }

    static List<Object[]> brokenValues() {
        byte[] deep = new byte[1_000_000];
        Arrays.fill(deep, (byte) 0x91);
        return List.of(
                new Object[] {"a length of 2147483647 where at most", bytes(0xc6, 0x7f, 0xff, 0xff, 0xff)},
                new Object[] {"a length of 4294967295 where at most", bytes(0xc6, 0xff, 0xff, 0xff, 0xff)},
                new Object[] {"a length of 2147483647 where at most", bytes(0xdb, 0x7f, 0xff, 0xff, 0xff)},
                new Object[] {"a length of 4294967295 where at most", bytes(0xdb, 0xff, 0xff, 0xff, 0xff)},
                new Object[] {"a length of 4294967295 where at most", bytes(0xdd, 0xff, 0xff, 0xff, 0xff)},
                new Object[] {"a length of 4294967295 where at most", bytes(0xdf, 0xff, 0xff, 0xff, 0xff)},
                new Object[] {"MalformedInput", bytes(0xa1, 0xff)},
                new Object[] {"NEVER_USED", bytes(0xc1)},
                new Object[] {"FIXEXT1", bytes(0xd4, 0x01, 0x00)},
                new Object[] {"more than 512 values in each other", deep});
    }

    @ParameterizedTest
    @ValueSource(ints = {0xdd, 0xdf})
    void aClaimedNumberOfValuesTakesNoRoom(int type) {
        byte[] stream = join(bytes(0x81), packed("tuple"), bytes(type, 0x7f, 0xff, 0xff, 0xff));
        assertThrows(NoOutputException.class, () -> read(stream));
    }

    @Test
    void randomBytesNeverDoWorse() {
        Random random = new Random(1);
        for (int i = 0; i < 20_000; i++) {
            byte[] stream = new byte[1 + random.nextInt(40)];
            random.nextBytes(stream);
            stream[0] = (byte) (0x80 + random.nextInt(16));
            try {
                read(stream);
            } catch (IOException | NoOutputException expected) {
                assertNotNull(expected.getMessage());
            }
        }
    }

    @Test
    void aMessageMustHaveACommand() {
        assertEquals("the component wrote a message without command, with [pid]", refused(packed(Map.of("pid", 1))));
    }

    @Test
    void aFieldMustHaveItsType() {
        assertEquals("the component wrote a message whose task is the String x",
                refused(packed(Map.of("command", "emit", "task", "x"))));
        assertTrue(refused(packed(Map.of("command", "emit", "tuple", "x"))).contains("whose tuple is the String x"));
    }

    // ---- to a component

    @Test
    void theFirstMessageIsAnsweredWithThePid() throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        MsgpackSerializer serializer = new MsgpackSerializer();
        serializer.initialize(out, new ByteArrayInputStream(packed(Map.of("pid", 4711))));
        Map<String, Object> conf = Map.of("topology.debug", false, "list", List.of(1, "x"));
        FakeContext context = new FakeContext("/pids", "{\"taskid\": 3, \"names\": {\"3\": \"clean\"}}");
        assertEquals(4711L, serializer.connect(conf, context));
        assertEquals(value(Map.of("pidDir", "/pids", "conf", conf,
                "context", Map.of("taskid", 3, "names", Map.of("3", "clean")))), only(out));
    }

    @Test
    void aBoltGetsItsTuple() throws Exception {
        List<Object> tuple = Arrays.asList(null, true, 1, 2L, LARGEST_INT, 1.5, 0.5f, "kůň\n", new byte[] {0, -1},
                List.of(1), Map.of("a", Map.of("b", 1)));
        BoltMsg msg = new BoltMsg();
        msg.setId("1");
        msg.setComp("clean");
        msg.setStream("default");
        msg.setTask(2);
        msg.setTuple(tuple);
        assertEquals(value(Map.of("id", "1", "comp", "clean", "stream", "default", "task", 2, "tuple", tuple)),
                only(written(serializer -> serializer.writeBoltMsg(msg))));
    }

    @Test
    void aTickHasNoId() throws Exception {
        Map<String, Object> expected = new HashMap<>();
        List.of("id", "comp", "stream", "tuple").forEach(name -> expected.put(name, null));
        expected.put("task", 0);
        assertEquals(value(expected), only(written(serializer -> serializer.writeBoltMsg(new BoltMsg()))));
    }

    @Test
    void aSpoutGetsItsCommand() throws Exception {
        SpoutMsg msg = new SpoutMsg();
        msg.setCommand("ack");
        msg.setId("0:7:1");
        assertEquals(value(Map.of("command", "ack", "id", "0:7:1")), only(written(s -> s.writeSpoutMsg(msg))));
    }

    @Test
    void taskIdsAreAList() throws Exception {
        assertEquals(value(List.of(3, 4)), only(written(serializer -> serializer.writeTaskIds(List.of(3, 4)))));
    }

    @Test
    void keysAreTextOrBytes() throws Exception {
        BoltMsg msg = new BoltMsg();
        msg.setTuple(List.of(Map.of(1, "one"), Map.of(new byte[] {7}, "seven")));
        assertEquals(value(List.of(Map.of("1", "one"), Map.of(new byte[] {7}, "seven"))), tupleOf(msg));
    }

    @Test
    void aLargeTupleGoesWhole() throws Exception {
        byte[] ten = random(10 << 20);
        BoltMsg msg = new BoltMsg();
        msg.setTuple(List.of(ten));
        assertEquals(value(List.of(ten)), tupleOf(msg));
    }

    @Test
    void whatMsgpackCannotSayIsNamed() {
        BoltMsg msg = new BoltMsg();
        msg.setTuple(Collections.singletonList(Thread.State.NEW));
        Exception error = assertThrows(IOException.class, () -> written(serializer -> serializer.writeBoltMsg(msg)));
        assertEquals("msgpack has no type for the java.lang.Thread$State NEW", error.getMessage());
    }

    // ---- helpers

    /** Gives a stream in pieces of one to three bytes first, then in large ones. */
    private static final class InPieces extends ByteArrayInputStream {

        private int given;

        InPieces(byte[] stream) {
            super(stream);
        }

        @Override
        public synchronized int read(byte[] into, int offset, int length) {
            given += 1;
            return super.read(into, offset, Math.min(length, given < 100_000 ? 1 + given % 3 : length));
        }
    }

    private interface Write {
        void with(MsgpackSerializer serializer) throws IOException;
    }

    private static ByteArrayOutputStream written(Write write) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        MsgpackSerializer serializer = new MsgpackSerializer();
        serializer.initialize(out, InputStream.nullInputStream());
        write.with(serializer);
        return out;
    }

    private static Value only(ByteArrayOutputStream out) throws IOException {
        try (var unpacker = MessagePack.newDefaultUnpacker(out.toByteArray())) {
            Value value = unpacker.unpackValue();
            assertFalse(unpacker.hasNext());
            return value;
        }
    }

    private static Value tupleOf(BoltMsg msg) throws IOException {
        Value message = only(written(serializer -> serializer.writeBoltMsg(msg)));
        return message.asMapValue().map().get(ValueFactory.newString("tuple"));
    }

    private static MsgpackSerializer reading(InputStream stream) {
        MsgpackSerializer serializer = new MsgpackSerializer();
        serializer.initialize(new ByteArrayOutputStream(), stream);
        return serializer;
    }

    private static ShellMsg read(byte... stream) throws IOException, NoOutputException {
        return reading(new ByteArrayInputStream(stream)).readShellMsg();
    }

    private static List<Object> emitted(List<Object> tuple) throws IOException, NoOutputException {
        return read(packed(Map.of("command", "emit", "tuple", tuple))).getTuple();
    }

    private static String refused(byte... stream) {
        return assertThrows(IOException.class, () -> read(stream)).getMessage();
    }

    private static byte[] packed(Object message) {
        try (MessageBufferPacker packer = MessagePack.newDefaultBufferPacker()) {
            packer.packValue(value(message));
            return packer.toByteArray();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static Value value(Object given) {
        if (given instanceof Map) {
            Map<Value, Value> map = new HashMap<>();
            ((Map<?, ?>) given).forEach((key, each) -> map.put(value(key), value(each)));
            return ValueFactory.newMap(map);
        } else if (given instanceof List) {
            List<?> list = (List<?>) given;
            return ValueFactory.newArray(list.stream().map(MsgpackSerializerTest::value).toArray(Value[]::new));
        } else if (given instanceof String) {
            return ValueFactory.newString((String) given);
        } else if (given instanceof byte[]) {
            return ValueFactory.newBinary((byte[]) given);
        } else if (given instanceof Boolean) {
            return ValueFactory.newBoolean((Boolean) given);
        } else if (given instanceof Float) {
            return ValueFactory.newFloat((Float) given);
        } else if (given instanceof Double) {
            return ValueFactory.newFloat((Double) given);
        } else if (given instanceof BigInteger) {
            return ValueFactory.newInteger((BigInteger) given);
        } else {
            return given == null ? ValueFactory.newNil() : ValueFactory.newInteger(((Number) given).longValue());
        }
    }

    private static byte[] bytes(int... given) {
        byte[] bytes = new byte[given.length];
        for (int i = 0; i < given.length; i++) {
            bytes[i] = (byte) given[i];
        }
        return bytes;
    }

    private static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new Random(0).nextBytes(bytes);
        return bytes;
    }

    private static byte[] join(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            all.writeBytes(part);
        }
        return all.toByteArray();
    }
}
