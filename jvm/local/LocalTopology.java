package shopguide;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.storm.LocalCluster;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.shade.net.minidev.json.JSONValue;
import org.apache.storm.utils.Utils;

/**
 * A topology in Storm's one-JVM cluster, until stdin ends.
 *
 * <p>Arguments: its name, a file with its conf as JSON, a file with the StormTopology as Thrift's binary protocol
 * writes it. Prints {@code running} once it is submitted. Run from its source: {@code java -cp ... LocalTopology.java}.
 */
final class LocalTopology {

    @SuppressWarnings({"try", "unchecked"})
    public static void main(String[] args) throws Exception {
        Map<String, Object> conf = (Map<String, Object>) JSONValue.parse(Files.readString(Path.of(args[1])));
        byte[] bytes = Files.readAllBytes(Path.of(args[2]));
        StormTopology topology = Utils.thriftDeserialize(StormTopology.class, bytes);
        LocalCluster.Builder small = new LocalCluster.Builder()
                .withSupervisors(1)
                .withDaemonConf("storm.metricstore.class", "org.apache.storm.metricstore.NoOpMetricStore");
        try (LocalCluster cluster = small.build();
                LocalCluster.LocalTopology submitted = cluster.submitTopology(args[0], conf, topology)) {
            System.out.println("running");
            while (System.in.read() != -1) {}
        }
        System.exit(0); // threads of Storm stay behind
    }
}
