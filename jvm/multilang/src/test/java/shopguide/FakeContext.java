package shopguide;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.metrics2.StormMetricRegistry;
import org.apache.storm.task.TopologyContext;

/** As much of a context as a component is told of. */
final class FakeContext extends TopologyContext {

    private final String json;

    FakeContext(String pidDir, String json) {
        super(new StormTopology(), Map.of(), Map.of(), Map.of(), Map.of(), Map.of(), "storm-1", "code", pidDir, 1, 6700,
                List.of(1), Map.of(), Map.of(), Map.of(), Map.of(), new AtomicBoolean(), new StormMetricRegistry());
        this.json = json;
    }

    @Override
    public String toJSONString() {
        return json;
    }
}
