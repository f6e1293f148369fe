"""batch(<= T) + speed(> T) = everything: bulk up to any frontier, continued by the stream, is the replay of all."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopguide.batch import Learned, learn
from shopguide.clean import clean
from shopguide.featurize import Featurizer
from shopguide.keys import category_key, item_key
from shopguide.log import Log
from shopguide.rank import Ranker
from shopguide.records import SIMILAR, Events, Kind, Looks, Names, Ragged
from shopguide.rejects import RejectFiles
from shopguide.score import Scorer
from shopguide.settings import Settings, load

BEGIN = 1_700_000_000.0
GAP = 100.0
USERS, ITEMS = 4, 6
ITEM_KEYS = np.array([item_key(f"i{i}") for i in range(ITEMS)], np.uint64)
CATEGORIES = ("garden", "kitchen")


def with_settings(unit: str = "session", history: int = 2, partitions: int = 3) -> Settings:
    flags = {"learn.unit": unit, "learn.history": history, "learn.session_gap": GAP, "log.partitions": partitions}
    return load("shop", flags=flags)


def event(kind: Kind, user: int, item: int, step: float, event: int = 0, session: int = 0) -> dict[str, Any]:
    """``step``: seconds after the row before; ``event`` and ``session`` 0: none. A session is its user's own."""
    return {
        "kind": kind, "user": user + 1, "item": int(ITEM_KEYS[item]), "step": step, "data": b"",
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
    st.builds(event, SIGNS, USER, ITEM, STEP, st.integers(0, 4), st.sampled_from([0, 0, 0, 1, 2])),
    st.builds(event, SIGNS, USER, ITEM, STEP, st.integers(0, 4), st.sampled_from([0, 0, 0, 1, 2])),
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
                self.scorer.learn_categories(kept)
                self.ranker.learn(kept)
                self.scorer.learn(self.featurizer.featurize(kept))
                at[partition] = batch.last + 1


def fresh(settings: Settings) -> Stages:
    return Stages(Featurizer(settings), Scorer(settings), Ranker(settings))


def restored(settings: Settings, learned: Learned) -> Stages:
    stages, parts = fresh(settings), learned.parts()
    for name, stage in vars(stages).items():
        stage.load(parts[{"featurizer": "featurize", "scorer": "score", "ranker": "rank"}[name] + "-0"])
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
    return {**scores, **by_category, **overall}


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
        rejects.close()
        stages = restored(chosen, learned)
        stages.follow(log, learned.parts()["position"]["position"].tolist(), size)
        replay = fresh(chosen)
        replay.follow(log, [0] * partitions, 1)
        log.close()
    stages.scorer.check()
    assert everything(stages) == everything(replay)
    assert weights(stages) == pytest.approx(weights(replay), rel=1e-9, abs=1e-9)
