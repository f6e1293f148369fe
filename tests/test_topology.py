"""The real topology in the local runner: the same model whatever the interleaving, batch size, fails and widths."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import full_disk
from streamparse import Grouping, Topology

from shopguide._core import Users
from shopguide.keys import Secret, item_key, partition_of
from shopguide.lists import unpack
from shopguide.log import Log
from shopguide.recommenders import Items
from shopguide.records import Events, Kind, Names, Ragged
from shopguide.settings import load
from shopguide.state import StateDir
from shopguide.storm import deployment
from shopguide.storm import stage as stage_module
from shopguide.storm.bolts import CleanBolt, FeaturizeBolt, PushBolt, RankBolt, RejectBolt, RelayBolt, ScoreBolt
from shopguide.storm.runner import LocalRunner, MemorySerializer
from shopguide.storm.spouts import LogSpout
from shopguide.topologies.recommend import Recommend

NOW = 1_700_000_000.0
BY_PARTITION = Grouping.fields("partition")


class FlakyFeaturizeBolt(FeaturizeBolt):
    """Fails every seventh tuple before it learns."""

    seen = 0

    def process(self, tup: Any) -> None:
        self.seen += 1
        if self.seen % 7 == 0:
            self.fail(tup)
        else:
            super().process(tup)


class FlakyScoreBolt(ScoreBolt):
    """Fails every fifth update before it learns: featurize has learned it, score has not."""

    seen = 0

    def process(self, tup: Any) -> None:
        self.seen += tup.component == "featurize"
        if tup.component == "featurize" and self.seen % 5 == 0:
            self.fail(tup)
        else:
            super().process(tup)


class FullDisk:
    """Every third time the disk takes nothing. Mixed into a bolt that writes."""

    seen = 0

    def handle(self, tup: Any) -> None:
        self.seen += 1
        with full_disk(0) if self.seen % 3 == 1 else nullcontext():
            super().handle(tup)  # type: ignore[misc]


class FullRejectBolt(FullDisk, RejectBolt):
    pass


class FullRelayBolt(FullDisk, RelayBolt):
    pass


def topology(
    width: int = 1,
    replicas: int = 1,
    featurize: Any = FeaturizeBolt,
    score: Any = ScoreBolt,
    reject: Any = RejectBolt,
    relay: Any = RelayBolt,
    push: Any = PushBolt,
) -> Any:
    """The wiring of topologies/recommend.py with other widths and classes."""
    featurize_bolt, score_bolt, reject_bolt, relay_bolt, push_bolt = featurize, score, reject, relay, push

    class Wired(Topology):
        log = LogSpout.spec(par=width)
        clean = CleanBolt.spec(inputs={log: BY_PARTITION}, par=width)
        reject = reject_bolt.spec(inputs={clean["rejected"]: BY_PARTITION})
        featurize = featurize_bolt.spec(inputs={clean: BY_PARTITION}, par=width)
        relay = relay_bolt.spec(inputs={featurize["relay"]: BY_PARTITION})
        score = score_bolt.spec(inputs={clean["catalogue"]: Grouping.ALL, featurize: Grouping.ALL}, par=replicas)
        told = {clean["catalogue"]: Grouping.ALL, clean["names"]: Grouping.ALL}
        rank = RankBolt.spec(inputs={**told, score: BY_PARTITION}, par=width)
        push = push_bolt.spec(inputs={rank: BY_PARTITION}, par=width)

    return Wired


def rows(seed: int, count: int = 400) -> Events:
    """Events of few users and items, with returns, rubbish and a watching user."""
    random = np.random.default_rng(seed)
    secret = Secret(b"0123456789abcdef")
    users = np.array([secret.user_key(f"u{u}") for u in range(12)], np.uint64)
    items = np.array([item_key(f"i{i}") for i in range(15)], np.uint64)
    kinds = random.choice([Kind.VIEW, Kind.VIEW, Kind.CART, Kind.PURCHASE, Kind.REMOVE, Kind.MALFORMED], count)
    events = Events(
        kind=kinds,
        user=users[random.integers(0, 12, count)],
        item=items[random.integers(0, 15, count)],
        time=NOW + np.cumsum(random.exponential(120, count)),
        arrived=np.full(count, NOW + 1e6),
        data=Ragged.of_bytes([b"\x82\xa6reason\xa3bad\xa3raw\xc4\x01x" if k == Kind.MALFORMED else b"" for k in kinds]),
    )
    return events


def fill(log: Log, events: Events) -> None:
    names = [f"i{i}" for i in range(15)]
    table = Names(
        key=np.array([item_key(n) for n in names], np.uint64), text=Ragged.of_bytes([n.encode() for n in names])
    )
    partition = np.array([partition_of(int(u), log.partitions) for u in events.user])
    for start in range(0, len(events), 50):
        for p in range(log.partitions):
            chosen = np.flatnonzero(partition[start : start + 50] == p) + start
            if len(chosen):
                log.append(p, events.take(chosen), table)


def run(
    path: Path,
    events: Events,
    wired: Any,
    seed: int | None,
    batch: int,
    partitions: int = 4,
    afterwards: Events | None = None,
    runner: type[LocalRunner] = LocalRunner,
) -> LocalRunner:
    """``afterwards``: rows that come when all the others are learned."""
    log = Log(path / "log", partitions)
    StateDir(path).keep_settings(load("shop", flags={"log.batch": batch, "log.partitions": partitions}))
    fill(log, events)
    conf = {
        deployment.STATE: str(path),
        deployment.LOG: log,
        deployment.PARTS: {},
    }
    running = runner(wired, lambda: conf, seed=seed, pending=5)
    running.drain()
    if afterwards is not None:
        fill(log, afterwards)
        running.drain()
    running.close()
    log.close()
    assert all(t.pending == 0 for t in running.spouts)
    return running


def by_definition(events: Events) -> str:
    """The checksum of a model that never saw what was taken back."""
    kept: list[tuple[int, int, float]] = []
    kinds: list[int] = []
    for kind, user, item, time in zip(events.kind, events.user, events.item, events.time, strict=True):
        if kind == Kind.REMOVE:
            match = [
                at
                for at, (u, i, _) in enumerate(kept)
                if (u, i) == (int(user), int(item)) and kinds[at] in (Kind.PURCHASE, Kind.CART)
            ]
            if match:
                del kept[match[-1]], kinds[match[-1]]
        elif kind != Kind.MALFORMED:
            kept.append((int(user), int(item), float(time)))
            kinds.append(int(kind))
    model = Items(history=50, k=50, half_life=None)
    users, items = (np.array([row[c] for row in kept], np.uint64) for c in (0, 1))
    times = np.array([row[2] for row in kept])
    model.observe_many(sessions(users, times), items, times)
    return str(model.checksum())


def sessions(users: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Each event's unit: the session, cut where a user was away for half an hour, and its user."""
    n = len(users)
    none = np.zeros(n, np.uint64)
    return users ^ Users(1800.0).observe(users, none, times, none, np.ones(n, np.uint8), np.arange(n), none)


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("batch", [1, 7, 512])
def test_the_model_is_that_of_the_definition(tmp_path: Path, seed: int | None, batch: int) -> None:
    events = rows(seed or 0)
    runner = run(tmp_path, events, Recommend, seed, batch)
    score = runner.stages()["score-0"]
    score.check()
    runner.stages()["featurize-0"].check()
    assert score.checksum() == by_definition(events)
    assert runner.stages()["reject-0"].counts == {"bad": int((events.kind == Kind.MALFORMED).sum())}


def test_tuples_say_the_same_packed_and_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = rows(4)
    as_they_are = run(tmp_path / "one", events, Recommend, None, 7).stages()
    monkeypatch.setattr(MemorySerializer, "in_memory", False)
    packed = run(tmp_path / "other", events, Recommend, None, 7).stages()
    for name in ("featurize-0", "score-0", "rank-0"):
        one, other = (stages[name].dump(*[0] * (name == "featurize-0")) for stages in (as_they_are, packed))
        assert one.keys() == other.keys()
        assert all(np.array_equal(column, other[which]) for which, column in one.items())


@pytest.mark.parametrize(("width", "replicas", "partitions"), [(1, 2, 4), (2, 1, 4), (3, 2, 4), (2, 2, 1)])
def test_widths_change_nothing(tmp_path: Path, width: int, replicas: int, partitions: int) -> None:
    events = rows(3)
    runner = run(tmp_path, events, topology(width, replicas), 3, 7, partitions)
    sums = {s.checksum() for name, s in runner.stages().items() if name.startswith("score")}
    assert sums == {by_definition(events)}


def with_logins(seed: int) -> tuple[Events, Events]:
    """Shoppers of whom some log in as others, one of these as a third; and the same where the account did it all."""
    random = np.random.default_rng(seed)
    events = rows(seed, 300)
    kinds = [Kind.VIEW, Kind.CART, Kind.SEARCH, Kind.DISMISS]
    events.kind[:] = random.choice(kinds, len(events), p=[0.7, 0.1, 0.1, 0.1])
    users = np.unique(events.user)
    account_of = {int(users[0]): int(users[1]), int(users[2]): int(users[1]), int(users[3]): int(users[0])}
    done = events.take(np.arange(len(events)))
    for visitor in account_of:
        account = visitor
        while account in account_of:
            account = account_of[account]
        done.user[done.user == visitor] = account
    data = [events.data.bytes_at(row) for row in range(len(events))]
    for visitor, account in account_of.items():
        at = int(random.integers(0, len(events)))
        events.kind[at], events.user[at] = Kind.ALIAS, visitor
        done.kind[at] = Kind.IMPRESSION
        data[at] = msgpack.packb({"account": account})
    events.data = Ragged.of_bytes(data)
    return events, done


@pytest.mark.parametrize("seed", range(8))
def test_an_alias_is_the_account_having_done_it_all(tmp_path: Path, seed: int) -> None:
    events, done = with_logins(seed)
    wired = topology(1 + seed % 2, 1 + seed // 4)
    one = run(tmp_path / "one", events, wired, seed or None, [1, 7, 64][seed % 3])
    other = run(tmp_path / "other", done, Recommend, None, 64)
    want = other.stages()["score-0"]
    for name, stage in one.stages().items():
        if name.startswith("score"):
            assert stage.checksum() == want.checksum()
            assert sorted(zip(*stage.audience.dump(), strict=True)) == sorted(zip(*want.audience.dump(), strict=True))


@pytest.mark.parametrize(
    ("width", "batch", "featurize"), [(1, 1, FeaturizeBolt), (2, 7, FlakyFeaturizeBolt), (3, 64, FlakyFeaturizeBolt)]
)
def test_profiles_follow_their_users_at_any_width(tmp_path: Path, width: int, batch: int, featurize: Any) -> None:
    events, _ = with_logins(3)
    data = [events.data.bytes_at(row) for row in range(len(events))]
    account_of: dict[int, int] = {}
    newest: dict[int, str] = {}
    for row, user in enumerate(events.user.tolist()):
        if events.kind[row] == Kind.ALIAS:
            account_of[user] = events.details(row)["account"]
        elif row % 3 == 0:
            events.kind[row] = Kind.PROFILE
            newest[user] = str(row)
            data[row] = msgpack.packb({"attributes": {f"{user:016x}": str(row)}, "interests": []})
    events.data = Ragged.of_bytes(data)
    want: dict[int, dict[str, str]] = {}
    for user, value in newest.items():
        account = user
        while account in account_of:
            account = account_of[account]
        want.setdefault(account, {})[f"{user:016x}"] = value
    runner = run(tmp_path, events, topology(width, featurize=featurize), 3, batch)
    stages = [stage for name, stage in runner.stages().items() if name.startswith("featurize")]
    for user in np.unique(events.user).tolist():
        found = [profile.attributes for stage in stages if (profile := stage.profile_of(user))]
        assert found == ([want[user]] if user in want else [])


@pytest.mark.parametrize("seed", [None, 4, 5, 6])
@pytest.mark.parametrize("flaky", ["featurize", "score", "both"])
def test_fails_and_rewinds_change_nothing(tmp_path: Path, seed: int | None, flaky: str) -> None:
    featurize = FlakyFeaturizeBolt if flaky in ("featurize", "both") else FeaturizeBolt
    score = FlakyScoreBolt if flaky in ("score", "both") else ScoreBolt
    events = rows(5)
    runner = run(tmp_path, events, topology(featurize=featurize, score=score), seed, 9)
    assert runner.stages()["score-0"].checksum() == by_definition(events)
    assert any(runner.spouts[0].component.rewinds.values())


@pytest.mark.parametrize("seed", [None, 7, 8, 9])
def test_rejects_that_the_disk_refused_come_again_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int | None
) -> None:
    monkeypatch.setattr(stage_module, "PAUSE", 0)
    events = rows(6)
    runner = run(tmp_path, events, topology(reject=FullRejectBolt), seed, 4)
    assert runner.stages()["score-0"].checksum() == by_definition(events)
    assert any(runner.spouts[0].component.rewinds.values())
    partition = np.array([partition_of(int(user), 4) for user in events.user])
    for p in range(4):
        mine = events.kind[partition == p]
        lines = (tmp_path / "rejects" / f"p{p:04d}.jsonl").read_text().splitlines()
        assert sorted(json.loads(line)["offset"] for line in lines) == np.flatnonzero(mine == Kind.MALFORMED).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_relayed_rows_that_the_disk_refused_come_again_each_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(stage_module, "PAUSE", 0)
    events, done = with_logins(seed)
    one = run(tmp_path / "one", events, topology(relay=FullRelayBolt), seed or None, 3)
    other = run(tmp_path / "other", done, Recommend, None, 64)
    assert any(one.spouts[0].component.rewinds.values())
    assert one.stages()["score-0"].checksum() == other.stages()["score-0"].checksum()
    relayed = one_by_one(tmp_path / "one")
    assert len(relayed) == len(set(relayed)) > 0


def one_by_one(path: Path) -> list[int]:
    """The keys of the relayed rows."""
    log, found = Log(path / "log", 4, readonly=True), []
    for partition in range(4):
        batch = log.read(partition, 0, 10**6)
        if batch is not None:
            found += batch.events.event[batch.events.kind == Kind.ADOPT].tolist()
    log.close()
    return found


class Piped(LocalRunner):
    """What is emitted goes over a pipe: what MessagePack cannot say is an error here, and lost on a cluster."""

    def _send(self, task: Any, stream: str, values: list[Any], tree: Any) -> None:
        super()._send(task, stream, msgpack.unpackb(msgpack.packb(values)), tree)


def test_everything_that_is_emitted_goes_over_the_pipe_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, done = with_logins(2)
    events.kind[7::20] = Kind.MALFORMED
    done.kind[7::20] = Kind.MALFORMED
    want = run(tmp_path / "other", done, Recommend, None, 64)
    monkeypatch.setattr(MemorySerializer, "in_memory", False)
    got = run(tmp_path / "one", events, topology(2, 2), None, 7, runner=Piped)
    assert got.stages()["score-0"].checksum() == want.stages()["score-0"].checksum()


class NotePushBolt(PushBolt):
    """Notes each user's newest list."""

    lists: ClassVar[dict[int, list[tuple[str, float]]]] = {}

    def process(self, tup: Any) -> None:
        for one in map(unpack, msgpack.unpackb(tup.values[1])):
            self.lists[one["user"]] = [(item["item"], round(item["score"], 9)) for item in one["items"]]


SHOPPERS = [Secret(b"0123456789abcdef").user_key(f"shopper {u}") for u in range(50)]


def lists_of(path: Path, events: Events, wired: Any, batch: int, partitions: int) -> tuple[str, dict[int, Any]]:
    """The checksum, and the list of each shopper who asks at the end."""
    NotePushBolt.lists.clear()
    ask = msgpack.packb({"expires": 0.0, "n": 10})
    asking = Events(
        kind=np.full(50, Kind.WATCH),
        user=SHOPPERS,
        time=np.full(50, NOW + 1e6),
        arrived=np.full(50, NOW + 1e6),
        data=Ragged.of_bytes([ask] * 50),
    )
    runner = run(path, events, wired, None, batch, partitions, asking)
    return runner.stages()["score-0"].checksum(), dict(NotePushBolt.lists)


@settings(max_examples=12)
@given(
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([1, 7, 512]),
    st.sampled_from([1, 4]),
    st.integers(0, 3),
)
def test_widths_replicas_batches_and_partitions_change_no_list(
    tmp_path_factory: pytest.TempPathFactory, width: int, replicas: int, batch: int, partitions: int, seed: int
) -> None:
    events = rows(seed, 300)
    events.user[:] = np.random.default_rng(seed).choice(np.array(SHOPPERS, np.uint64), 300)
    path = tmp_path_factory.mktemp("run")
    want = lists_of(path / "one", events, topology(push=NotePushBolt), 64, 1)
    got = lists_of(path / "other", events, topology(width, replicas, push=NotePushBolt), batch, partitions)
    assert got == want and len(want[1]) == 50 and any(want[1].values())
