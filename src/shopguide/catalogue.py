"""What is known of items: id strings, titles, categories, prices, stock, and the experts' picks.

Fed by every batch of every partition, in any interleaving and any number of times: an item's rows live in one
partition, so the last row by offset wins and a replay changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from shopguide.errors import StateError
from shopguide.keys import category_key, partition_of
from shopguide.records import Batch, Events, Kind, Names

ATTRIBUTES = ("title", "category", "brand", "price", "image", "url")


def concerns(batch: Batch) -> bool:
    """Whether a catalogue has anything to learn from the batch."""
    return bool(len(batch.names)) or bool(_own_rows(batch.events).any())


def extract(batch: Batch) -> Batch:
    """The part of a batch that catalogues learn from."""
    return Batch(batch.partition, batch.first, batch.last, batch.events.take(_own_rows(batch.events)), batch.names)


def items(events: Events) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """What ITEM rows say: item, offset, details."""
    for row in np.flatnonzero(events.kind == Kind.ITEM).tolist():
        yield int(events.item[row]), int(events.offset[row]), events.details(row)


def categories(events: Events) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The items of ITEM rows that name a category, and the category keys."""
    rows = [(item, d["category"]) for item, _, d in items(events) if _is_upsert(d) and d.get("category")]
    keys = [category_key(str(category)) for _, category in rows]
    return np.array([item for item, _ in rows], np.uint64), np.array(keys, np.uint64)


def _own_rows(events: Events) -> NDArray[np.bool_]:
    return np.isin(events.kind, (Kind.ITEM, Kind.PICK))


def _is_upsert(details: dict[str, Any]) -> bool:
    return bool(details.get("op", "upsert") == "upsert")


@dataclass(frozen=True)
class Pick:
    """An expert's word on an item. ``time`` (of the word) and ``until`` are epoch seconds; until 0: no end."""

    action: str
    slot: str
    until: float
    by: str
    why: str
    time: float = 0.0  # 0: of a snapshot that did not hold it


class Catalogue:
    """Item keys to names, attributes, stock and picks."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.collisions: set[int] = set()
        self._products: dict[int, dict[str, Any]] = {}
        self._picks: dict[int, Pick] = {}
        self._by_time: list[tuple[int, Pick]] | None = []  # the picks, oldest first; None: to be sorted again
        self._offsets: dict[tuple[int, int], int] = {}  # (item, kind) -> offset of its last row

    def learn(self, batch: Batch) -> None:
        """Take in names, ITEM and PICK rows."""
        self._learn_names(batch.names)
        events = batch.events
        for row in np.flatnonzero(_own_rows(events)):
            item, kind, offset = int(events.item[row]), int(events.kind[row]), int(events.offset[row])
            if offset <= self._offsets.get((item, kind), -1):
                continue
            self._offsets[item, kind] = offset
            details = events.details(int(row))
            if kind == Kind.PICK:
                self._pick(item, details, float(events.time[row]))
            else:
                self._change(item, details, float(events.time[row]))

    def forget(self, live: NDArray[np.uint64], kept_from: list[int]) -> NDArray[np.uint64]:
        """Let go of ids that neither a kept event nor the catalogue's own rows name, and of items that were deleted
        before the retention and that no kept event names. ``live``: the items of kept events; ``kept_from``: where
        the retention of each partition begins. Returns the deleted items that went."""
        living, partitions = set(live.tolist()), len(kept_from)
        gone = [
            item
            for item, product in self._products.items()
            if product.get("deleted")
            and item not in living
            and item not in self._picks
            and self._offsets[item, Kind.ITEM] < kept_from[partition_of(item, partitions)]
        ]
        for item in gone:
            del self._products[item]
            del self._offsets[item, Kind.ITEM]
        if any(kept_from):
            stay = living | self._products.keys() | self._picks.keys() | self._categories()
            self.names = {key: name for key, name in self.names.items() if key in stay}
            self.collisions &= stay
        return np.array(gone, np.uint64)

    def known(self) -> NDArray[np.uint64]:
        """The keys of all of which anything is known."""
        keys = self.names.keys() | self._products.keys() | self._picks.keys()
        return np.fromiter(keys, np.uint64, len(keys))

    def name(self, key: int) -> str | None:
        """The id string of an item; None for an unknown one and for two ids that share a key."""
        return None if key in self.collisions else self.names.get(key)

    def product(self, key: int) -> dict[str, Any]:
        """The known attributes of an item, and ``since`` when (epoch s) there are any; empty where nothing is known."""
        return self._products.get(key, {})

    def title(self, key: int) -> str:
        """What to call the item: its title, else its id."""
        return str(self.product(key).get("title") or self.names.get(key, "?"))

    def available(self, key: int) -> bool:
        """Whether the item can be offered: not deleted, not out of stock."""
        product = self.product(key)
        return not product.get("deleted") and product.get("stock") != 0

    def picks(self, slot: str, now: float) -> dict[int, str]:
        """Item keys to the action of the pick in force for a slot at ``now`` (epoch s); the oldest pick first."""
        if self._by_time is None:
            self._by_time = sorted(self._picks.items(), key=lambda picked: (picked[1].time, picked[0]))
        return {
            item: pick.action
            for item, pick in self._by_time
            if pick.slot in ("", slot) and (not pick.until or pick.until > now)
        }

    def products(self) -> Iterator[dict[str, Any]]:
        """All items that can be offered, with id and attributes."""
        for key, product in self._products.items():
            name = self.name(key)
            if name is not None and self.available(key):
                yield {"item": name, **product}

    def dump(self) -> dict[str, NDArray[np.uint8]]:
        state = {
            "names": list(self.names.items()),
            "collisions": list(self.collisions),
            "products": list(self._products.items()),
            "picks": [(item, vars(pick)) for item, pick in self._picks.items()],
            "offsets": [(*key, offset) for key, offset in self._offsets.items()],
        }
        return {"catalogue": np.frombuffer(orjson.dumps(state), np.uint8)}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        try:
            loaded = orjson.loads(state["catalogue"].tobytes())
            self.names = dict(loaded["names"])
            self.collisions = set(loaded["collisions"])
            self._products = dict(loaded["products"])
            self._picks = {item: Pick(**pick) for item, pick in loaded["picks"]}
            self._by_time = None
            self._offsets = {(item, kind): offset for item, kind, offset in loaded["offsets"]}
        except (KeyError, ValueError, TypeError) as e:
            raise StateError(f"the catalogue's snapshot is broken: {e}") from None

    def _categories(self) -> set[int]:
        said = {product["category"] for product in self._products.values() if product.get("category")}
        return {category_key(str(category)) for category in said}

    def _learn_names(self, names: Names) -> None:
        known = self.names
        for key, text in zip(names.key.tolist(), names.text, strict=True):
            name = text.tobytes().decode("utf-8", "replace")
            if known.setdefault(key, name) != name:
                self.collisions.add(key)

    def _pick(self, item: int, details: dict[str, Any], time: float) -> None:
        self._by_time = None
        if details.get("action") == "clear":
            self._picks.pop(item, None)
            return
        self._picks[item] = Pick(
            str(details.get("action", "")),
            str(details.get("slot", "")),
            float(details.get("until", 0)),
            str(details.get("by", "")),
            str(details.get("why", "")),
            time,
        )

    def _change(self, item: int, details: dict[str, Any], time: float) -> None:
        product = self._products.setdefault(item, {})
        op = details.get("op", "upsert")
        if op == "delete":
            product["deleted"] = True
            return
        product.pop("deleted", None)
        product.setdefault("since", time)
        product.update({a: details[a] for a in (*ATTRIBUTES, "stock") if details.get(a) is not None})
