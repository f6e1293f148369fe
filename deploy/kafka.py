"""A Kafka broker on this machine, for tests and trials.

    kafka.py up                          start it, wait until it answers; nothing to do where it runs
    kafka.py down                        stop it; its data stays
    kafka.py status                      whether it runs, and where (exit code 1: it does not)
    kafka.py topic NAME... [-p N]        make topics of N partitions (4)
    kafka.py send TOPIC FILE...          send the lines of JSONL files, each with its user as its key

One node in KRaft mode, from Maven's artefacts (jvm/kafka/pom.xml). The environment says where:

    SHOPGUIDE_KAFKA                      the folder of its data, log and pid   .cluster/kafka
    SHOPGUIDE_KAFKA_JARS                 the folder of its jars                .cluster/kafka-jars
    SHOPGUIDE_KAFKA_PORT                 its port; the controller's is the next one   19092
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from daemon import ROOT, Daemon, FetchError, fetch, is_free, tail

FOLDER = Path(os.environ.get("SHOPGUIDE_KAFKA", ROOT / ".cluster" / "kafka")).resolve()
JARS = Path(os.environ.get("SHOPGUIDE_KAFKA_JARS", ROOT / ".cluster" / "kafka-jars")).resolve()
PORT = int(os.environ.get("SHOPGUIDE_KAFKA_PORT", "19092"))
PROPERTIES = FOLDER / "server.properties"
READY = "Kafka Server started"
START = 90.0  # seconds that a start may take
STOP = 20.0  # seconds that a graceful stop may take
HEAP = ("-Xms64m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
COMMAND = ["java", *HEAP, "-cp", f"{JARS}/*", "kafka.Kafka", str(PROPERTIES)]
BROKER = Daemon("the broker", FOLDER, FOLDER / "broker.log", COMMAND)


def server_properties() -> str:
    """One node that is broker and controller. The cleaner's buffer is by default as large as the whole heap here; the
    short session lets a broker that was killed come back at once."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{PORT + 1}
listeners=PLAINTEXT://127.0.0.1:{PORT},CONTROLLER://127.0.0.1:{PORT + 1}
advertised.listeners=PLAINTEXT://127.0.0.1:{PORT}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={FOLDER / "data"}
num.partitions=4
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16777216
log.retention.check.interval.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


def up() -> None:
    if BROKER.running():
        print(f"the broker runs already at 127.0.0.1:{PORT}")
        return
    if shutil.which("java") is None:
        sys.exit("kafka: java is missing; a broker needs Java 17")
    for port in (PORT, PORT + 1):
        if not is_free(port):
            sys.exit(f"kafka: port {port} is in use; choose another with SHOPGUIDE_KAFKA_PORT")
    try:
        fetch("kafka", JARS)
    except FetchError as e:
        sys.exit(f"kafka: {e}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    PROPERTIES.write_text(server_properties())
    if not (FOLDER / "data" / "meta.properties").exists():
        cluster = java("kafka.tools.StorageTool", "random-uuid").split()[-1]
        java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(PROPERTIES))
    BROKER.start()
    wait_until_ready()
    print(f"the broker runs at 127.0.0.1:{PORT}; its log is {BROKER.log}")


def down() -> None:
    """End what ``up`` started: asked first, then killed."""
    if BROKER.running() is None:
        print("no broker runs")
        return
    BROKER.stop(STOP)
    print("the broker is stopped")


def status() -> None:
    pid = BROKER.running()
    if pid is None:
        sys.exit("no broker runs")
    print(f"the broker runs at 127.0.0.1:{PORT} as process {pid}")


def make_topics(names: list[str], partitions: int) -> None:
    """Topics that exist stay as they are."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - of the extra "kafka"; the other verbs need none
    from confluent_kafka.admin import AdminClient, NewTopic  # noqa: PLC0415

    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{PORT}"})
    for name, made in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).items():
        try:
            made.result(30)
            print(f"topic {name}, {partitions} partitions")
        except KafkaException as e:
            if e.args[0].name() != "TOPIC_ALREADY_EXISTS":
                sys.exit(f"kafka: topic {name}: {e.args[0].str()}")
            print(f"topic {name} exists")


def send(topic: str, files: list[str]) -> None:
    """Events of one user go to one partition; what names none, such as an item, has its session or item as its key."""
    from confluent_kafka import Producer  # noqa: PLC0415

    producer = Producer({"bootstrap.servers": f"127.0.0.1:{PORT}", "enable.idempotence": True})
    sent = 0
    for file in files:
        for line in Path(file).read_bytes().splitlines():
            row = json.loads(line)
            producer.produce(topic, line, row.get("user") or row.get("session") or row.get("item"))
            producer.poll(0.1 if len(producer) > 50_000 else 0)
            sent += 1
    if left := producer.flush(30):
        sys.exit(f"kafka: {left} of {sent} messages were not delivered to topic {topic}")
    print(f"{sent} messages sent to topic {topic}")


def java(*arguments: str) -> str:
    done = subprocess.run(["java", "-cp", f"{JARS}/*", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"kafka: {' '.join(arguments[:2])} failed:\n{tail(done.stdout + done.stderr)}")
    return done.stdout


def wait_until_ready() -> None:
    deadline = time.monotonic() + START
    while READY not in BROKER.log.read_text(errors="replace"):
        if BROKER.running() is None or time.monotonic() > deadline:
            why = f"is silent for {START:.0f} s" if BROKER.running() else "ended"
            BROKER.stop(STOP)
            sys.exit(f"kafka: the broker {why}; the end of {BROKER.log}:\n{BROKER.end_of_log()}")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("up", "down", "status", "topic", "send"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("-p", "--partitions", type=int, default=4)
    given = parser.parse_args()
    if given.verb == "topic":
        make_topics(given.names, given.partitions)
    elif given.verb == "send" and len(given.names) > 1:
        send(given.names[0], given.names[1:])
    elif given.verb == "send":
        parser.error("send needs a topic and files")
    else:
        {"up": up, "down": down, "status": status}[given.verb]()


if __name__ == "__main__":
    main()
