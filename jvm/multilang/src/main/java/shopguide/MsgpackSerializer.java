package shopguide;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.storm.multilang.BoltMsg;
import org.apache.storm.multilang.ISerializer;
import org.apache.storm.multilang.NoOutputException;
import org.apache.storm.multilang.ShellMsg;
import org.apache.storm.multilang.SpoutMsg;
import org.apache.storm.shade.net.minidev.json.JSONValue;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.utils.Utils;

/**
 * Storm's multilang protocol in MessagePack, as pystorm speaks it with {@code -s msgpack}.
 *
 * <p>The wire format: one msgpack object after the other on the component's stdin and stdout, with no frame around
 * them: no length before, no line end after. Task ids are an array, every other message is a map:
 *
 * <pre>
 * to a component     {pidDir, conf, context}           the first message
 *                    {command, id}                     to a spout: next, ack, fail, activate, deactivate
 *                    {id, comp, stream, task, tuple}   to a bolt
 *                    [task id, ...]                    where an emitted tuple went, if the component asks
 * from a component   {pid}                             the answer to the first message
 *                    {command, ...}                    emit, ack, fail, log, error, metrics, sync
 * </pre>
 *
 * <p>{@link Wire} says what becomes of the values, and of text that a component prints between its messages.
 */
public class MsgpackSerializer implements ISerializer {

    private static final long serialVersionUID = 1L;

    private transient Wire wire;

    @Override
    public void initialize(OutputStream processIn, InputStream processOut) {
        wire = new Wire(processIn, processOut);
    }

    @Override
    public Number connect(Map<String, Object> conf, TopologyContext context) throws IOException, NoOutputException {
        Map<String, Object> message = new HashMap<>();
        message.put("pidDir", context.getPIDDir());
        message.put("conf", conf);
        message.put("context", JSONValue.parse(context.toJSONString()));
        wire.write(message);
        return needed(wire.read(), "pid", Number.class);
    }

    @Override
    public ShellMsg readShellMsg() throws IOException, NoOutputException {
        Map<?, ?> message = wire.read();
        ShellMsg msg = new ShellMsg();
        msg.setCommand(needed(message, "command", String.class));
        msg.setId(message.get("id"));
        msg.setMsg(field(message, "msg", String.class, null));
        msg.setStream(field(message, "stream", String.class, Utils.DEFAULT_STREAM_ID));
        msg.setTask(field(message, "task", Number.class, 0).longValue());
        msg.setNeedTaskIds(field(message, "need_task_ids", Boolean.class, true));
        msg.setMetricName(field(message, "name", String.class, null));
        msg.setMetricParams(message.get("params"));
        Collection<?> tuple = field(message, "tuple", Collection.class, null);
        msg.setTuple(tuple == null ? null : new ArrayList<>(tuple));
        Object anchors = message.get("anchors");
        if (anchors instanceof Collection) {
            ((Collection<?>) anchors).forEach(anchor -> msg.addAnchor(String.valueOf(anchor)));
        } else if (anchors != null) {
            msg.addAnchor(String.valueOf(anchors));
        }
        Number level = field(message, "level", Number.class, null);
        if (level != null) {
            msg.setLogLevel(level.intValue());
        }
        return msg;
    }

    @Override
    public void writeBoltMsg(BoltMsg msg) throws IOException {
        Map<String, Object> message = new HashMap<>();
        message.put("id", msg.getId());
        message.put("comp", msg.getComp());
        message.put("stream", msg.getStream());
        message.put("task", msg.getTask());
        message.put("tuple", msg.getTuple());
        wire.write(message);
    }

    @Override
    public void writeSpoutMsg(SpoutMsg msg) throws IOException {
        Map<String, Object> message = new HashMap<>();
        message.put("command", msg.getCommand());
        message.put("id", msg.getId());
        wire.write(message);
    }

    @Override
    public void writeTaskIds(List<Integer> taskIds) throws IOException {
        wire.write(taskIds);
    }

    private static <T> T needed(Map<?, ?> message, String name, Class<T> type) throws IOException {
        T value = field(message, name, type, null);
        if (value == null) {
            throw new IOException("the component wrote a message without " + name + ", with " + message.keySet());
        }
        return value;
    }

    private static <T> T field(Map<?, ?> message, String name, Class<T> type, T absent) throws IOException {
        Object value = message.get(name);
        if (value != null && !type.isInstance(value)) {
            String found = value.getClass().getSimpleName();
            throw new IOException("the component wrote a message whose " + name + " is the " + found + " " + value);
        }
        return value == null ? absent : type.cast(value);
    }
}
