"""batch(<= T) + speed(> T) = everything: bulk up to any frontier, continued by the stream, is the replay of all."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import refused, said, write_shop

from shopguide.batch import Learned, frontiers, learn
from shopguide.clean import clean
from shopguide.collect.collector import Collector
from shopguide.collect.files import open_source
from shopguide.featurize import Featurizer
from shopguide.keys import Secret, category_key, item_key
from shopguide.log import Log
from shopguide.rank import Ranker
from shopguide.records import SIMILAR, Events, Kind, Looks, Names, Ragged
from shopguide.rejects import RejectFiles
from shopguide.score import Scorer
from shopguide.settings import Settings, load
from shopguide.state import StateDir

BEGIN = 1_700_000_000.0
GAP = 100.0
USERS, ITEMS = 4, 6
ITEM_KEYS = np.array([item_key(f"i{i}") for i in range(ITEMS)], np.uint64)
CATEGORIES = ("garden", "kitchen")
SAID = ({"region": "DE", "device": "phone"}, {"region": "FR", "device": "phone"}, {"campaign": "spring"})
CONTEXTS = [b"", b"", *map(msgpack.packb, SAID)]


def with_settings(unit: str = "session", history: int = 2, partitions: int = 3) -> Settings:
    flags = {"learn.unit": unit, "learn.history": history, "learn.session_gap": GAP, "log.partitions": partitions}
    return load("shop", flags=flags)


def event(
    kind: Kind, user: int, item: int, step: float, event: int = 0, session: int = 0, context: int = 0
) -> dict[str, Any]:
    """``step``: seconds after the row before; ``event`` and ``session`` 0: none. A session is its user's own.
    ``context``: of CONTEXTS."""
    return {
        "kind": kind, "user": user + 1, "item": int(ITEM_KEYS[item]), "step": step, "data": CONTEXTS[context],
        "event": event, "session": user * 100 + session if session else 0,
    }  # fmt: skip


def control(kind: Kind, user: int, event: int) -> dict[str, Any]:
    details = {"target": event} if kind == Kind.RETRACT else {"expires": BEGIN + 1e9}
    return {"kind": kind, "user": user + 1, "step": 1.0, "data": msgpack.packb(details)}


def product(item: int, category: str) -> dict[str, Any]:
    data = msgpack.packb({"op": "upsert", "title": f"Thing {item}", "category": category})
    return {"kind": Kind.ITEM, "item": int(ITEM_KEYS[item]), "step": 0.0, "data": data}


USER, ITEM, IDS = st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(1, 4)
STEP = st.sampled_from([0.0, 1.0, 60.0, 150.0, -30.0, -150.0])
SIGNS = st.sampled_from([Kind.VIEW, Kind.VIEW, Kind.CART, Kind.PURCHASE, Kind.SEARCH, Kind.DISMISS, Kind.IMPRESSION])
ROW = st.one_of(
    st.builds(event, SIGNS, USER, ITEM, STEP, st.integers(0, 4), st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 4)),
    st.builds(event, SIGNS, USER, ITEM, STEP, st.integers(0, 4), st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 4)),
    st.builds(event, st.just(Kind.REMOVE), USER, ITEM, STEP),
    st.builds(control, st.sampled_from([Kind.RETRACT, Kind.RETRACT, Kind.FORGET, Kind.WATCH, Kind.UNWATCH]), USER, IDS),
    st.builds(product, ITEM, st.sampled_from(CATEGORIES)),
    st.just({"kind": Kind.MALFORMED, "step": 0.0, "data": msgpack.packb({"reason": "bad", "raw": b"x"})}),
)


def fill(log: Log, rows: Sequence[dict[str, Any]], frame: int = 3) -> None:
    """Append rows in frames of at most ``frame``, each to the partition of its user (or item)."""
    time = BEGIN
    for start in range(0, len(rows), frame):
        for row in rows[start : start + frame]:
            row["time"] = time = time + row["step"]
        for p in range(log.partitions):
            mine = [r for r in rows[start : start + frame] if (r.get("user") or r.get("item", 0)) % log.partitions == p]
            if mine:
                columns = {
                    name: np.array([row.get(name, 0) for row in mine], dtype)
                    for name, dtype in Events.schema.items()
                    if not dtype.endswith("[]") and name not in ("offset", "arrived")
                }
                data = Ragged.of_bytes([row["data"] for row in mine])
                names = Names(key=ITEM_KEYS, text=Ragged.of_bytes([b"i%d" % i for i in range(ITEMS)]))
                log.append(p, Events(arrived=np.full(len(mine), BEGIN + 1e6), **columns, data=data), names)


@dataclass
class Stages:
    featurizer: Featurizer
    scorer: Scorer
    ranker: Ranker

    def follow(self, log: Log, positions: Sequence[int], size: int) -> None:
        """The stream: batches of each partition in turn."""
        at = dict(enumerate(positions))
        while at:
            for partition in list(at):
                batch = log.read(partition, at[partition], size)
                if batch is None:
                    del at[partition]
                    continue
                kept, _ = clean(batch)
                self.scorer.learn_catalogue(kept)
                self.ranker.learn(kept)
                self.scorer.learn(self.featurizer.featurize(kept))
                at[partition] = batch.last + 1


def fresh(settings: Settings) -> Stages:
    return Stages(Featurizer(settings), Scorer(settings), Ranker(settings))


def restored(settings: Settings, learned: Learned) -> Stages:
    stages, parts = fresh(settings), learned.parts()
    for partition in range(settings.log.partitions):
        stages.featurizer.load(partition, parts[f"featurize-{partition}"])
    stages.scorer.load(parts["score"])
    stages.ranker.load(parts["rank"])
    return stages


def everything(stages: Stages) -> dict[str, Any]:
    """All that is to be seen of the stages, but for the order of equal scores."""
    model = stages.scorer
    now = BEGIN + 10_000
    lists = {}
    for user in range(1, USERS + 1):
        slate = model.answer(stages.featurizer.look(user, "home", 100, now))
        lists[user] = {
            int(item): (score, sorted(zip(*map(np.ndarray.tolist, sums), strict=True)))
            for item, score, *sums in zip(
                slate.candidates.item,
                slate.candidates.score.tolist(),
                slate.candidates.signal,
                slate.candidates.because,
                slate.candidates.shared,
                strict=True,
            )
        }
    similar = {
        about: [
            (item["item"], item["score"], item["reasons"])
            for item in stages.ranker.rank(
                model.answer(Looks(slot=Ragged.of_bytes([SIMILAR]), about=ITEM_KEYS[about : about + 1], n=[50],
                                   user=[0], event_time=[now]))
            )[0]["items"]
        ]
        for about in range(ITEMS)
    }  # fmt: skip
    return {
        "checksum": model.checksum(),
        "audience": sorted(zip(*map(np.ndarray.tolist, model.audience.dump()), strict=True)),
        "counts": stages.featurizer.counts,
        "frontier": (stages.featurizer.frontier.reached, model.frontier.reached),
        "lists": {user: {item: explained for item, (_, explained) in found.items()} for user, found in lists.items()},
        "similar": similar,
        "products": sorted(stages.ranker.catalogue.products(), key=lambda product: product["item"]),
    }


def weights(stages: Stages) -> dict[str, Any]:
    """What is sums of floats, so equal but for the order of adding."""
    popular, now = stages.scorer.popular.model, BEGIN + 10_000
    scores = {
        (user, item): score
        for user in range(1, USERS + 1)
        for c in [stages.scorer.answer(stages.featurizer.look(user, "home", 100, now)).candidates]
        for item, score in zip(c.item.tolist(), c.score.tolist(), strict=True)
    }
    by_category = {
        (name, item): weight
        for name in CATEGORIES
        for item, weight in zip(*map(np.ndarray.tolist, popular.top(50, category_key(name), now)), strict=True)
    }
    overall = dict(zip(ITEM_KEYS.tolist(), popular.weight(ITEM_KEYS, now).tolist(), strict=True))
    segments = {
        (segment, item): weight
        for segment, model in stages.scorer.segments.models.items()
        for item, weight in zip(*map(np.ndarray.tolist, model.top(50, 0, now)), strict=True)
    }
    return {**scores, **by_category, **overall, **segments}


@settings(max_examples=200)
@given(
    rows=st.lists(ROW, max_size=40),
    unit=st.sampled_from(["session", "user"]),
    history=st.integers(1, 3),
    partitions=st.integers(1, 3),
    size=st.integers(1, 9),
    data=st.data(),
)
def test_bulk_and_then_the_stream_is_the_replay_of_all(
    rows: list[dict[str, Any]], unit: str, history: int, partitions: int, size: int, data: st.DataObject
) -> None:
    chosen = with_settings(unit, history, partitions)
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder) / "log", partitions)
        fill(log, rows)
        ends = [data.draw(st.integers(0, log.end(p))) for p in range(partitions)]
        rejects = RejectFiles(Path(folder) / "rejects")
        learned = learn(log, chosen, rejects, ends)
        stages = restored(chosen, learned)
        stages.follow(log, learned.parts()["position"]["position"].tolist(), size)
        replay = fresh(chosen)
        replay.follow(log, [0] * partitions, 1)
        log.close()
    stages.scorer.check()
    assert everything(stages) == everything(replay)
    assert weights(stages) == pytest.approx(weights(replay), rel=1e-9, abs=1e-9)


def test_a_frontier_is_before_the_first_row_of_a_shopper_that_is_later(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", 1)
    late = 1e5
    rows = [
        {**product(1, "garden"), "step": late},
        event(Kind.VIEW, 0, 1, -late),
        {"kind": Kind.MALFORMED, "step": late, "data": b""},
        event(Kind.VIEW, 1, 1, 60.0 - late),
        event(Kind.VIEW, 0, 2, 1.0),
        event(Kind.VIEW, 0, 3, -60.0),
    ]
    fill(log, rows)
    assert [frontiers(log, BEGIN + t) for t in (-1, 0, 59, 60, 61)] == [[1], [3], [3], [4], [6]]
    assert frontiers(log) == [6]
    log.close()


@pytest.mark.data
def test_half_a_year_in_bulk_and_half_in_the_stream(tmp_path: Path, data: Path) -> None:
    settings = load("shop")
    log = Log(tmp_path / "log", settings.log.partitions)
    collector = Collector(log, Secret(b"0123456789abcdef"))
    for chunk in open_source(f"file:{data / 'online_retail'}").chunks():
        collector.load(chunk)
    rejects = RejectFiles(tmp_path / "rejects")
    middle = 1_308_096_000.0  # 2011-06-15
    learned = learn(log, settings, rejects, frontiers(log, middle))
    assert 0.3 < sum(learned.ends) / sum(frontiers(log)) < 0.7
    stages, replay = restored(settings, learned), fresh(settings)
    stages.follow(log, learned.ends, 1024)
    replay.follow(log, [0] * log.partitions, 4096)
    whole = learn(log, settings, rejects, frontiers(log))
    assert stages.scorer.checksum() == replay.scorer.checksum() == whole.scorer.checksum()
    assert sorted_columns(stages) == sorted_columns(replay)
    assert stages.featurizer.counts == replay.featurizer.counts == whole.featurizer.counts
    log.close()


def sorted_columns(stages: Stages) -> list[tuple[int, ...]]:
    return sorted(zip(*map(np.ndarray.tolist, stages.scorer.audience.dump()), strict=True))


UNTIL = ("--until", "2023-11-15T06:00:00")  # of the test shop's 17 hours the first 8


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A file of events, and what a run of it says."""
    path = tmp_path_factory.mktemp("history")
    write_shop(path / "a.csv")
    return path / "a.csv", json.loads(
        said("run", "--source", f"file:{path / 'a.csv'}", "--state", path / "s", "--json")
    )


def rejects_of(state: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (state / "rejects").iterdir()}


def test_a_run_goes_on_from_a_batch(tmp_path: Path, shop: tuple[Path, dict[str, Any]]) -> None:
    file, ran = shop
    source, state = ("--source", f"file:{file}"), ("--state", tmp_path / "s")
    first = json.loads(said("batch", *source, *state, *UNTIL, "--json"))
    assert 1000 < first["rows"] < 2000 and first["rows"] == first["kept"] + first["rejected"]
    assert rejects_of(tmp_path / "s") != rejects_of(file.parent / "s")
    rest = json.loads(said("run", *source, *state, "--json"))
    assert rest["checksum"] == ran["checksum"] == said("state", "checksum", tmp_path / "s").strip()
    for part in ("rows", "kept", "rejected"):
        assert first[part] + rest[part] == ran[part]
    assert rejects_of(tmp_path / "s") == rejects_of(file.parent / "s")
    assert "all invariants hold" in said("state", "check", tmp_path / "s")
    lists = [said("recommend", "--user", "u1", "--state", s, "--json") for s in (tmp_path / "s", file.parent / "s")]
    assert [i["item"] for i in json.loads(lists[0])["items"]] == [i["item"] for i in json.loads(lists[1])["items"]]
    assert "learned more than that" in refused("batch", *state, *UNTIL)


def test_a_batch_of_everything_is_the_run_and_again_the_same(tmp_path: Path, shop: tuple[Path, dict[str, Any]]) -> None:
    file, ran = shop
    source, state = ("--source", f"file:{file}"), ("--state", tmp_path / "s")
    once = json.loads(said("batch", *source, *state, "--json"))
    again = json.loads(said("batch", *source, *state, "--json"))
    assert {**once, "seconds": 0, "rows_per_second": 0} == {**again, "seconds": 0, "rows_per_second": 0}
    assert {k: once[k] for k in ("rows", "kinds", "reasons", "notes", "checksum")} == {
        k: ran[k] for k in ("rows", "kinds", "reasons", "notes", "checksum")
    }
    assert rejects_of(tmp_path / "s") == rejects_of(file.parent / "s")
    assert json.loads(said("run", *source, *state, "--json"))["rows"] == 0
    assert "a second)" in said("batch", *state)


def test_another_log_and_parquet_give_the_model_of_the_file(tmp_path: Path, shop: tuple[Path, dict[str, Any]]) -> None:
    file, ran = shop
    table = pyarrow.csv.read_csv(file, convert_options=pyarrow.csv.ConvertOptions(column_types={"time": pa.string()}))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    batched = json.loads(
        said("batch", "--source", f"file:{tmp_path / 'a.parquet'}", "--state", tmp_path / "p", "--json")
    )
    assert (batched["checksum"], batched["reasons"]) == (ran["checksum"], ran["reasons"])
    (tmp_path / "settings.toml").write_text("[log]\npartitions = 3\n")
    to = ("--state", tmp_path / "c", "--config", tmp_path / "settings.toml", "--json")
    copied = json.loads(said("run", "--source", f"log:{file.parent / 's'}", *to))
    assert (copied["checksum"], copied["rows"]) == (ran["checksum"], ran["rows"])
    assert json.loads(said("run", "--source", f"log:{file.parent / 's'}", *to))["rows"] == 0


def test_mistakes_are_one_line(tmp_path: Path, shop: tuple[Path, dict[str, Any]]) -> None:
    assert "has no log, and no --source" in refused("batch", "--state", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert "--until 'soon': should be a time" in refused("batch", "--state", tmp_path, "--until", "soon")
    assert "should be file:PATH" in refused("batch", "--source", "http:", "--state", tmp_path)
    held = StateDir(tmp_path / "held")
    held.take()
    assert "is in use" in refused("batch", "--source", f"file:{shop[0]}", "--state", tmp_path / "held")
    held.release()


def test_logins_in_history_are_those_of_the_stream(tmp_path: Path) -> None:
    chance = random.Random(4)
    rows: list[dict[str, Any]] = []
    for at in range(1500):
        row = {"user": f"v{chance.randrange(40)}", "item": f"i{chance.randrange(20)}", "time": 1_700_000_000 + 60 * at}
        if chance.random() < 0.03:
            row = {"kind": "alias", "user": row["user"], "account": f"a{chance.randrange(9)}", "time": row["time"]}
        rows.append(row)
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, until in (("stream", None), ("bulk", []), ("both", ["--until", str(1_700_000_000 + 60 * 700)])):
        if until is not None:
            said("batch", "--source", f"file:{file}", *until, "--state", tmp_path / name)
        said("run", "--source", f"file:{file}", "--state", tmp_path / name)
    sums = [said("state", "checksum", tmp_path / name) for name in ("stream", "bulk", "both")]
    assert sums[0] and sums[0] == sums[1] == sums[2]
