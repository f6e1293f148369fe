package shopguide;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.storm.multilang.BoltMsg;
import org.apache.storm.multilang.NoOutputException;
import org.apache.storm.multilang.ShellMsg;
import org.apache.storm.multilang.SpoutMsg;
import org.apache.storm.shade.net.minidev.json.JSONValue;

/**
 * Storm in miniature: a spout's tuples go through bolts one after the other, until a round of the spout brings none.
 *
 * <p>Arguments: a folder, a file with the conf as JSON, the path of streamparse_run, the class of the spout, and of
 * each bolt. Each component is a process as in a worker. What it logs, reports and measures goes to stdout.
 */
final class Chain {

    private final List<Component> components = new ArrayList<>();

    private static final class Component implements AutoCloseable {

        private final String name;
        private final Process process;
        private final MsgpackSerializer serializer = new MsgpackSerializer();

        @SuppressWarnings("unchecked")
        Component(String folder, String conf, String run, String name) throws IOException, NoOutputException {
            this.name = name;
            process = new ProcessBuilder(run, "-s msgpack " + name)
                    .directory(new File(folder))
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            serializer.initialize(process.getOutputStream(), process.getInputStream());
            Object parsed = JSONValue.parse(Files.readString(Path.of(conf)));
            String context = JSONValue.toJSONString(Map.of("taskid", 1, "componentid", name));
            serializer.connect((Map<String, Object>) parsed, new FakeContext(folder, context));
        }

        /** Reads up to a message that has the command, and returns what was emitted before it. */
        List<ShellMsg> until(String last) throws IOException, NoOutputException {
            List<ShellMsg> emitted = new ArrayList<>();
            while (true) {
                ShellMsg msg = serializer.readShellMsg();
                if (last.equals(msg.getCommand())) {
                    return emitted;
                }
                switch (msg.getCommand()) {
                    case "emit":
                        emitted.add(msg);
                        if (msg.areTaskIdsNeeded()) {
                            serializer.writeTaskIds(List.of(7, 8));
                        }
                        break;
                    case "log":
                        System.out.println(name + " " + msg.getLogLevel() + " " + msg.getMsg());
                        break;
                    case "metrics":
                        System.out.println(name + " " + msg.getMetricName() + " = " + msg.getMetricParams());
                        break;
                    default:
                        throw new IOException(name + ": " + msg.getCommand() + " " + msg.getMsg());
                }
            }
        }

        @Override
        public void close() throws IOException, InterruptedException {
            process.getOutputStream().close();
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        }
    }

    private List<ShellMsg> command(String command, Object id) throws IOException, NoOutputException {
        SpoutMsg msg = new SpoutMsg();
        msg.setCommand(command);
        msg.setId(id);
        components.get(0).serializer.writeSpoutMsg(msg);
        return components.get(0).until("sync");
    }

    private void pass(List<Object> tuple, int at) throws IOException, NoOutputException {
        if (at == components.size()) {
            return;
        }
        BoltMsg msg = new BoltMsg();
        msg.setId("tuple");
        msg.setComp(components.get(at - 1).name);
        msg.setStream("default");
        msg.setTask(1);
        msg.setTuple(tuple);
        components.get(at).serializer.writeBoltMsg(msg);
        for (ShellMsg emitted : components.get(at).until("ack")) {
            if (!List.of("tuple").equals(emitted.getAnchors())) {
                throw new IOException(components.get(at).name + ": anchors " + emitted.getAnchors());
            }
            pass(emitted.getTuple(), at + 1);
        }
    }

    private void run() throws IOException, NoOutputException {
        for (List<ShellMsg> round = command("next", null); !round.isEmpty(); round = command("next", null)) {
            for (ShellMsg emitted : round) {
                pass(emitted.getTuple(), 1);
                command("ack", emitted.getId());
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Chain chain = new Chain();
        try {
            for (String name : List.of(args).subList(3, args.length)) {
                chain.components.add(new Component(args[0], args[1], args[2], name));
            }
            chain.run();
        } finally {
            for (Component component : chain.components) {
                component.close();
            }
        }
    }
}
