"""A list as rank hands it on, packed: its items are JSON already, as clients get them (docs/protocol.md).

A msgpack map of the list's ``user``, ``partition``, ``offset``, ``slot``, ``about``, ``intent`` and ``times``, and of

    items   [id, ...]     best first
    json    [bytes, ...]  of each item, without its ``why``
    causes  bytes         JSON, [[key, id, title, kind], ...]: what speaks for the items, see shopguide.rank.reasons
    why     [bytes] * 6   columns, little-endian. Of items: uint8 PINNED or EXPLORED, uint32 how many parts the score
                          has; of these, one item's after the other's: uint8 signal, uint64 because, float64 amount,
                          uint32 shared

The push server sends the bytes as they are, and takes no list apart. :func:`unpack` does that for who reads one.
:func:`wanted` says how many candidates rank has score send for it.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import msgpack
import numpy as np
import orjson

from shopguide.errors import PackingError
from shopguide.records import TOPIC, Looks
from shopguide.settings import PolicySettings, RankSettings

SPARE = 10  # candidates beyond the list's length, for what rank may not show
AGED = 200  # the same where an item's age is a factor on its score, and what is new is found far down
PINNED, EXPLORED = 1, 2  # by an expert; as a new item that is tried
PARTS = {"signal": 1, "because": 8, "amount": 8, "shared": 4}  # columns of a sum, and the bytes of a part in each
_HEAD = ("user", "partition", "offset", "slot", "about", "intent", "items", "causes", "times")


def wanted(settings: RankSettings, looks: Looks, row: int) -> int:
    """How many candidates the list of a look is chosen from, by the rules of its slot."""
    rules: PolicySettings = settings.slots.get(looks.slot.bytes_at(row).decode(), settings)
    seen = len(looks.recent[row]) if rules.seen == "drop" else 0
    hidden = seen + len(looks.bought[row]) + len(looks.dismissed[row])
    return int(looks.n[row]) + hidden + (SPARE if rules.age_half_life is None else AGED)


def parted(looks: Looks, packed: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The lists of these looks: those for who watches, and those for a topic."""
    told: tuple[list[bytes], list[bytes]] = [], []
    for row, one in enumerate(packed):
        told[looks.slot.bytes_at(row) == TOPIC].append(one)
    return told


def unpack(packed: bytes) -> dict[str, Any]:
    """The list: ``items`` are dicts, each with its ``why``: pinned, explored, and its part of the columns, bytes.
    Raises PackingError where it is none."""
    try:
        said = msgpack.unpackb(packed)
        items = [orjson.loads(one) for one in said["json"]]
        for item, why in zip(items, _why(*said["why"]), strict=True):
            item["why"] = why
        return {**{name: said[name] for name in _HEAD}, "items": items, "causes": orjson.loads(said["causes"])}
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise PackingError(f"no packed list: {type(e).__name__}: {e}") from None


def pack(recommendation: dict[str, Any]) -> bytes:
    """What :func:`unpack` gave, or gives."""
    items = recommendation["items"]
    whys = [item["why"] for item in items]
    tags = bytes(PINNED * why["pinned"] + EXPLORED * why["explored"] for why in whys)
    counts = np.array([len(why["signal"]) for why in whys], "<u4").tobytes()
    return msgpack.packb(  # type: ignore[no-any-return]
        {
            **recommendation,
            "items": [item["item"] for item in items],
            "json": [orjson.dumps({name: item[name] for name in item if name != "why"}) for item in items],
            "causes": orjson.dumps(recommendation["causes"]),
            "why": [tags, counts, *(b"".join(why[name] for why in whys) for name in PARTS)],
        }
    )


def _why(tags: bytes, counts: bytes, *columns: bytes) -> list[dict[str, Any]]:
    """Of each item."""
    ends = [0, *accumulate(np.frombuffer(counts, "<u4").tolist())]
    if [len(column) for column in columns] != [ends[-1] * size for size in PARTS.values()]:
        raise ValueError("columns of unequal lengths")
    return [
        {
            "pinned": bool(tag & PINNED),
            "explored": bool(tag & EXPLORED),
            **{
                name: column[begin * size : end * size]
                for (name, size), column in zip(PARTS.items(), columns, strict=True)
            },
        }
        for tag, (begin, end) in zip(tags, pairwise(ends), strict=True)
    ]
