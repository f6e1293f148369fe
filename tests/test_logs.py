"""Another log as a source: the same model, each row once, whatever the partitions; never under another secret."""

from __future__ import annotations

from pathlib import Path

import msgpack
import numpy as np
import pytest

from shopguide.batch import frontiers, learn
from shopguide.collect.collector import Collector
from shopguide.collect.logs import READ
from shopguide.collect.sources import open_source
from shopguide.errors import SettingError, SourceError
from shopguide.keys import Secret, item_key
from shopguide.log import Log
from shopguide.records import Events, Kind, Names, Ragged
from shopguide.rejects import RejectFiles
from shopguide.settings import Settings, load

SECRET = Secret(b"0123456789abcdef")
BEGIN = 1_700_000_000.0


def write(state: Path, rows: int = 400, partitions: int = 4, seed: int = 1) -> Path:
    """A log of rows as a collector writes it, some of them malformed."""
    random = np.random.default_rng(seed)
    log = Log(state / "log", partitions)
    collector = Collector(log, SECRET, lambda: BEGIN + 1e7)
    kinds = ["view", "view", "cart", "purchase", "remove", "teleport"]
    for start in range(0, rows, 50):
        collector.collect(
            [
                {
                    "user": f"u{random.integers(20)}", "item": f"i{(item := random.integers(12))}",
                    "kind": kinds[random.integers(6)], "time": BEGIN + 60 * at, "title": f"Thing {item}",
                    "category": f"c{item % 3}", "id": f"e{at}",
                }
                for at in range(start, start + 50)
            ]
        )  # fmt: skip
    log.close()
    return state


def copy(source: Path, state: Path, partitions: int = 4) -> tuple[str, dict[str, int], list[str], int]:
    """Take the other log in; the model's checksum, the rejects, the names known, how many rows were new."""
    log = Log(state / "log", partitions)
    collector = Collector(log, SECRET)
    new = sum(
        collector.load(chunk).accepted for chunk in open_source(f"log:{source}", state, Settings().collect).chunks()
    )
    rejects = RejectFiles(state / "rejects")
    learned = learn(log, load("shop", flags={"log.partitions": partitions}), rejects, frontiers(log))
    log.close()
    catalogue = learned.ranker.catalogue
    return learned.scorer.checksum(), dict(learned.rejected), sorted(map(str, catalogue.products())), new


@pytest.mark.parametrize("partitions", [4, 1, 7])
def test_a_copy_has_the_same_model_and_is_made_once(tmp_path: Path, partitions: int) -> None:
    other = write(tmp_path / "other")
    rows = sum(log.end(p) for log in [Log(other / "log", 4, readonly=True)] for p in range(4))
    want = copy(other, tmp_path / "same")
    assert want[3] == rows > 400 and want[1] and len(want[2]) == 12
    *found, new = copy(other, tmp_path / "copy", partitions)
    assert (tuple(found), new) == (want[:3], rows)
    *again, new = copy(other / "log", tmp_path / "copy", partitions)
    assert (tuple(again), new) == (want[:3], 0)


def test_what_the_other_log_has_got_since_is_taken(tmp_path: Path) -> None:
    other = write(tmp_path / "other")
    copy(other, tmp_path / "copy", 3)
    write(other, 200, seed=2)
    assert copy(other, tmp_path / "copy", 3)[0] == copy(other, tmp_path / "fresh")[0]


def test_names_come_along_where_a_frame_is_longer_than_a_read(tmp_path: Path) -> None:
    n = READ + 10
    items = np.array([item_key(f"i{i}") for i in range(n)], np.uint64)
    log = Log(tmp_path / "other" / "log", 1)
    events = Events(
        kind=np.full(n, Kind.ITEM), item=items, time=np.full(n, BEGIN), arrived=np.full(n, BEGIN),
        data=Ragged.of_bytes([msgpack.packb({"title": "a"})] * n),
    )  # fmt: skip
    log.append(0, events, Names(key=items, text=Ragged.of_bytes([b"i%d" % i for i in range(n)])))
    log.close()
    assert len(copy(tmp_path / "other", tmp_path / "copy")[2]) == n


@pytest.mark.parametrize("where", ["", "nowhere", "empty", "own", "broken"])
def test_what_is_no_other_log_is_one_clear_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "own")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "meta.json").write_text("{")
    with pytest.raises(SourceError) as error:
        open_source(f"log:{tmp_path / where if where else ''}", tmp_path / "own", Settings().collect)
    assert "\n" not in str(error.value) and f"{where}'" in str(error.value)


def test_secrets_have_to_be_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOPGUIDE_SECRET")
    other, ours = write(tmp_path / "other"), tmp_path / "ours"
    with pytest.raises(SettingError, match="other are under a secret that is not there"):
        open_source(f"log:{other}", ours, Settings().collect)
    Secret.load(other, create=True)
    open_source(f"log:{other}", ours, Settings().collect)
    assert (ours / "secret").read_bytes() == (other / "secret").read_bytes()
    assert (ours / "secret").stat().st_mode & 0o777 == 0o600
    open_source(f"log:{other}", ours, Settings().collect)
    (ours / "secret").write_text("another secret of that many bytes")
    with pytest.raises(SettingError, match="have different secrets"):
        open_source(f"log:{other}", ours, Settings().collect)
    (write(tmp_path / "used"))
    with pytest.raises(SettingError, match="used are under a secret that is not there"):
        open_source(f"log:{other}", tmp_path / "used", Settings().collect)
