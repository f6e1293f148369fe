"""SPECs of topics, and the mistakes that need no broker to be told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from broker import Broker, shopguide, two_free_ports

from shopguide.errors import SettingError, SourceError, StateError
from shopguide.kafka.admin import connect
from shopguide.kafka.binding import Bound, bind, bound, refuse_bound
from shopguide.kafka.client import Outage, base
from shopguide.kafka.cluster import Cluster
from shopguide.kafka.source import Spec, Topic, find_topic, parse
from shopguide.settings import load


def test_a_spec_says_where_and_what() -> None:
    assert parse("kafka://h:1/t") == Spec("h:1", "t", "shopguide", "t.recommendations", "t.rejects")
    assert parse("kafka://h:1,i:2/t.a?group=g&rejects=&recommendations=r") == Spec("h:1,i:2", "t.a", "g", "r", "")


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("kafka://h/t", "should be kafka://HOST:PORT/TOPIC"),
        ("kafka://h:1", "should be kafka://HOST:PORT/TOPIC"),
        ("kafka://h:1/", "should be kafka://HOST:PORT/TOPIC"),
        ("kafka://h:1/a/b", "should be kafka://HOST:PORT/TOPIC"),
        ("kafka://:1/a", "should be kafka://HOST:PORT/TOPIC"),
        ("kafka://h:x/a", "should be kafka://HOST:PORT/TOPIC"),
        ("kafka://h:1/a?grop=g", "no option grop; there are group, recommendations, rejects, client"),
        ("kafka://h:1/a?group=", "group is empty"),
    ],
)
def test_what_is_no_spec(spec: str, line: str) -> None:
    with pytest.raises(SourceError, match=line):
        parse(spec)


def test_sources_that_do_not_go_together() -> None:
    assert find_topic(["http:", "file:a.csv"]) is None
    with pytest.raises(SourceError, match="2 Kafka sources"):
        find_topic(["kafka://h:1/a", "kafka://h:1/b"])
    with pytest.raises(SourceError, match="'file:a' beside a Kafka source"):
        find_topic(["kafka://h:1/a", "file:a"])
    with pytest.raises(SourceError, match="'log:a' beside a Kafka source"):
        find_topic(["kafka://h:1/a", "log:a"])


PROPERTIES = (
    "# ours\nsecurity.protocol = SASL_PLAINTEXT\n\nsasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=a=b c\n"
)


def test_how_to_get_in_is_in_a_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "in.properties").write_text(PROPERTIES)
    spec = parse(f"kafka://h:1/t?client={tmp_path / 'in.properties'}")
    found = spec.cluster()
    assert found.properties["sasl.password"] == "a=b c" and "a=b" not in repr(found) + repr(spec)
    assert base(found, Outage("h:1"))["sasl.username"] == "u" and parse("kafka://h:1/t").cluster() == Cluster("h:1")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sasl.password\n", "line 1: should be KEY = VALUE"),
        ("\ngroup.id = secret-word", "line 2: group.id is not for this file; it takes security"),
        ("sasl.passwort = secret-word", "No such configuration property: .sasl.passwort"),
        ("security.protocol = SASL", "Invalid value .SASL. for configuration property .security.protocol"),
    ],
)
def test_a_file_of_properties_that_is_of_no_use(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "in.properties").write_text(text)
    with pytest.raises(SettingError, match=line) as raised:
        connect(parse(f"kafka://h:1/t?client={tmp_path / 'in.properties'}").cluster())
    assert "secret-word" not in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(SettingError, match="No such file"):
        parse("kafka://h:1/t?client=nowhere").cluster()


@pytest.mark.kafka
def test_who_is_not_let_in_is_told_so_in_one_line(tmp_path: Path, broker: Broker, topic: str) -> None:
    (tmp_path / "in.properties").write_text(PROPERTIES)
    source = f"kafka://{broker.servers}/{topic}?client={tmp_path / 'in.properties'}"
    done = shopguide("run", "--source", source, "--state", tmp_path / "s")
    assert done.returncode == 2 and done.stderr.startswith(f"shopguide: no Kafka broker answers at {broker.servers}: ")
    assert done.stderr.count("\n") == 1 and "SASL" in done.stderr and "a=b" not in done.stderr


def test_retention_by_rows_is_for_own_logs() -> None:
    topic = Topic(parse("kafka://h:1/t"), "id", 4)
    topic.check(load("shop"))
    with pytest.raises(SettingError, match="counts the rows of an own log"):
        topic.check(load("shop", flags={"learn.retention_events": 2048}))


def test_no_broker_is_one_line(tmp_path: Path) -> None:
    address = f"127.0.0.1:{two_free_ports()}"
    done = shopguide("run", "--source", f"kafka://{address}/events", "--state", tmp_path / "s")
    assert done.returncode == 2 and done.stderr.startswith(f"shopguide: no Kafka broker answers at {address}: ")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "s").exists()


def test_everything_else_works_without_the_client(tmp_path: Path) -> None:
    main = "import sys; sys.modules['confluent_kafka'] = None; from shopguide.cli import main; main()"
    command = [sys.executable, "-c", main, "run", "--state", str(tmp_path / "s"), "--source"]
    done = subprocess.run([*command, "kafka://h:1/t"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ("shopguide: source 'kafka://h:1/t' needs confluent-kafka: pip install 'shopguide[kafka]'\n")
    (tmp_path / "a.csv").write_text("user,item,time\nu1,i1,1700000000\n")
    done = subprocess.run([*command, f"file:{tmp_path / 'a.csv'}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 rows" in done.stdout, done.stderr


def test_a_directory_remembers_its_topic(tmp_path: Path) -> None:
    assert bound(tmp_path) is None
    refuse_bound(tmp_path)
    bind(tmp_path, Bound("t", "1", 4))
    bind(tmp_path, Bound("t", "1", 4))
    assert bound(tmp_path) == Bound("t", "1", 4)
    for topic, line in (
        (Bound("u", "1", 4), "was made from topic 't', not 'u'"),
        (Bound("t", "2", 4), "was deleted and made again"),
        (Bound("t", "1", 8), "has 8 partitions, .* when it had 4"),
    ):
        with pytest.raises(StateError, match=line):
            bind(tmp_path, topic)
    with pytest.raises(StateError, match="run it with --source kafka://"):
        refuse_bound(tmp_path)
    (tmp_path / "kafka.json").write_text("{")
    with pytest.raises(StateError, match="cannot be read"):
        bound(tmp_path)
