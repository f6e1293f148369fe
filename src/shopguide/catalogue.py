"""What is known of items: id strings, titles, categories, prices, stock; the experts' picks, and whom they looked up.

Fed by every batch of every partition, in any interleaving and any number of times: an item's rows live in one
partition, so the last row by offset wins and a replay changes nothing. Picks have ids (shopguide.picks).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from shopguide._core import Card
from shopguide.errors import StateError
from shopguide.keys import category_key, partition_of
from shopguide.picks import Lookups, Picks
from shopguide.records import Batch, Events, Kind, Names

_OWN = frozenset((Kind.ITEM, Kind.PICK, Kind.LOOKUP, Kind.FORGET))
_TOLD = _OWN | {Kind.ACTIVATE}  # to all who keep a catalogue
ATTRIBUTES = ("title", "category", "brand", "price", "image", "url")
SAYS = (*ATTRIBUTES, "stock", "until")  # what a row of the catalogue may say of an item
NO_PRODUCT: dict[str, Any] = {}
NO_EVENTS = Events()  # what most batches have of a catalogue's own rows


def concerns(batch: Batch) -> bool:
    """Whether a catalogue has anything to learn from the batch."""
    return len(batch.names) > 0 or not _TOLD.isdisjoint(batch.events.kinds)


def extract(batch: Batch) -> Batch:
    """The part of a batch that catalogues learn from."""
    told = _rows_of(batch.events, _TOLD)
    events = batch.events.take(np.array(told)) if told else NO_EVENTS
    return Batch(batch.partition, batch.first, batch.last, events, batch.names)


def _rows_of(events: Events, kinds: frozenset[Kind]) -> list[int]:
    return [row for row, kind in enumerate(events.kind.tolist()) if kind in kinds]


def items(events: Events) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """What ITEM rows say: item, offset, details."""
    for row in np.flatnonzero(events.kind == Kind.ITEM).tolist():
        yield int(events.item[row]), int(events.offset[row]), events.details(row)


def categories(events: Events) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The items of ITEM rows that name a category, and the category keys."""
    rows = [(item, d["category"]) for item, _, d in items(events) if _is_told(d) and d.get("category")]
    keys = [category_key(str(category)) for _, category in rows]
    return np.array([item for item, _ in rows], np.uint64), np.array(keys, np.uint64)


def _is_told(details: dict[str, Any]) -> bool:
    return details.get("op", "upsert") in ("upsert", "mention")


def is_there(details: dict[str, Any], before: bool) -> bool:
    """Whether an item is there after an ITEM row, not deleted. How many there are, and what an event mentions, leave it
    as it was ``before``."""
    return {"upsert": True, "delete": False}.get(details.get("op", "upsert"), before)


def as_json(text: str) -> bytes:
    """Without its quotes."""
    return orjson.dumps(text)[1:-1]


class _Cards(dict[int, Card]):
    """Those that were asked for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue: Catalogue = weakref.proxy(catalogue)  # else both would wait for the cyclic collector

    def __missing__(self, key: int) -> Card:
        card = self[key] = self._catalogue.card(key)
        return card


class Catalogue:
    """Item keys to names, attributes, stock and picks."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.collisions: set[int] = set()
        self._products: dict[int, dict[str, Any]] = {}
        self.picks = Picks()
        self.lookups = Lookups()
        self.cards = _Cards(self)
        """Of each item the same object as long as nothing changes, made when it is first asked for."""
        self.oldest = math.inf
        """Since when (epoch s) the catalogue has that of its items that it has had longest."""
        self._until: dict[int, float] = {}  # of items that are there and end by themselves, when: epoch s
        self._offsets: dict[tuple[int, int], int] = {}  # (item, kind) -> offset of its last row

    def learn(self, batch: Batch) -> list[int]:
        """Take in names, and the rows that are the catalogue's own. The items that can no longer be offered."""
        self._learn_names(batch.names)
        events = batch.events
        if not len(events):
            return []
        offered = [item for item in set(events.item[events.kind == Kind.ITEM].tolist()) if self.available(item)]
        for row in _rows_of(events, _OWN):
            kind, details, time = int(events.kind[row]), events.details(row), float(events.time[row])
            if kind == Kind.FORGET:
                self.lookups.forget(int(events.user[row]))
            elif kind == Kind.LOOKUP:
                self.lookups.learn(int(events.user[row]), details, time)
            elif kind == Kind.PICK and "id" in details:
                self.picks.learn(int(events.item[row]), -1, details, time)
            else:
                self._learn_newest(int(events.item[row]), kind, int(events.offset[row]), details, time)
        return [item for item in offered if not self.available(item)]

    def forget(self, live: NDArray[np.uint64], kept_from: list[int]) -> NDArray[np.uint64]:
        """Let go of ids that neither a kept event nor the catalogue's own rows name, and of items that were deleted
        before the retention and that no kept event names. ``live``: the items of kept events; ``kept_from``: where
        the retention of each partition begins. Returns the deleted items that went."""
        living, picked, partitions = set(live.tolist()), self.picks.targets(), len(kept_from)
        gone = [
            item
            for item, product in self._products.items()
            if product.get("deleted")
            and item not in living
            and item not in picked
            and self._offsets[item, Kind.ITEM] < kept_from[partition_of(item, partitions)]
        ]
        self.cards.clear()
        for item in gone:
            del self._products[item]
            del self._offsets[item, Kind.ITEM]
        self._find_oldest()
        if any(kept_from):
            stay = living | self._products.keys() | picked | self._categories()
            self.names = {key: name for key, name in self.names.items() if key in stay}
            self.collisions &= stay
        return np.array(gone, np.uint64)

    def known(self) -> NDArray[np.uint64]:
        """The keys of all of which anything is known."""
        keys = self.names.keys() | self._products.keys() | self.picks.targets()
        return np.fromiter(keys, np.uint64, len(keys))

    def name(self, key: int) -> str | None:
        """The id string of an item; None for an unknown one and for two ids that share a key."""
        return None if key in self.collisions else self.names.get(key)

    def product(self, key: int) -> dict[str, Any]:
        """The known attributes of an item, and ``since`` when (epoch s) there are any; empty where nothing is known."""
        return self._products.get(key, NO_PRODUCT)

    def title(self, key: int) -> str:
        """What to call the item: its title, else its id."""
        return str(self.product(key).get("title") or self.names.get(key, "?"))

    def available(self, key: int) -> bool:
        """Whether the item can be offered: not deleted, not out of stock."""
        product = self.product(key)
        return not product.get("deleted") and product.get("stock", 1) > 0

    def ended(self, now: float) -> list[str]:
        """The ids of the items that are there, and whose time is over (epoch s)."""
        over = [key for key, until in list(self._until.items()) if until <= now]  # asked while the line learns
        return [name for key in over if (name := self.name(key)) is not None]

    def card(self, key: int) -> Card:
        """What a list says of the item, made anew; see ``cards``."""
        name, product = self.name(key), self.product(key)
        offered = product if name is not None and self.available(key) else None
        said = {name: product[name] for name in ATTRIBUTES[1:] if product.get(name) not in (None, "")}
        more = b"," + orjson.dumps(said)[1:-1] if said else b""
        return Card(key, name, offered, as_json(name or ""), as_json(self.title(key)), more)

    def products(self) -> Iterator[dict[str, Any]]:
        """All items that can be offered, with id and attributes."""
        for key, product in list(self._products.items()):  # the desk asks while the line learns
            name = self.name(key)
            if name is not None and self.available(key):
                yield {"item": name, **product}

    def find(self, text: str, n: int) -> list[dict[str, Any]]:
        """At most so many items that can be offered, with all words of the text in their title or id."""
        words = text.casefold().split()
        named = ((f"{p.get('title', '')} {p['item']}".casefold(), p) for p in self.products())
        return list(islice((p for name, p in named if all(word in name for word in words)), n))

    def categories(self) -> list[str]:
        """The names of all categories, in order."""
        said = (product.get("category") for product in list(self._products.values()))
        return sorted({str(category) for category in said if category})

    def dump(self) -> dict[str, NDArray[np.uint8]]:
        state = {
            "names": list(self.names.items()),
            "collisions": list(self.collisions),
            "products": list(self._products.items()),
            "picks": self.picks.dump(),
            "lookups": self.lookups.dump(),
            "offsets": [(*key, offset) for key, offset in self._offsets.items()],
        }
        return {"catalogue": np.frombuffer(orjson.dumps(state), np.uint8)}

    def load(self, state: dict[str, NDArray[Any]]) -> None:
        try:
            loaded = orjson.loads(state["catalogue"].tobytes())
            self.names = dict(loaded["names"])
            self.collisions = set(loaded["collisions"])
            self._products = dict(loaded["products"])
            self._until.clear()
            for item in self._products:
                self._note_end(item)
            self._find_oldest()
            self.cards.clear()
            self.picks.load(loaded["picks"])
            self.lookups.load(loaded.get("lookups", []))
            self._offsets = {(item, kind): offset for item, kind, offset in loaded["offsets"]}
        except (KeyError, ValueError, TypeError) as e:
            raise StateError(f"the catalogue's snapshot is broken: {e}") from None

    def _categories(self) -> set[int]:
        return {category_key(category) for category in self.categories()}

    def _find_oldest(self) -> None:
        self.oldest = min((product.get("since", math.inf) for product in self._products.values()), default=math.inf)

    def _learn_names(self, names: Names) -> None:
        known = self.names
        for key, text in zip(names.key.tolist(), names.text.as_bytes(), strict=True):
            name = text.decode("utf-8", "replace")
            if known.get(key) == name:
                continue
            self.cards.pop(key, None)
            if known.setdefault(key, name) != name:
                self.collisions.add(key)

    def _learn_newest(self, item: int, kind: int, offset: int, details: dict[str, Any], time: float) -> None:
        """A row of which only an item's newest counts."""
        if offset <= self._offsets.get((item, kind), -1):
            return
        self._offsets[item, kind] = offset
        if kind == Kind.PICK:
            self.picks.learn(item, offset, details, time)
        else:
            self._change(item, details, time)

    def _change(self, item: int, details: dict[str, Any], time: float) -> None:
        self.cards.pop(item, None)
        product = self._products.setdefault(item, {})
        if is_there(details, not product.get("deleted")):
            product.pop("deleted", None)
        else:
            product["deleted"] = True
        if details.get("op") != "delete":
            self.oldest = min(self.oldest, product.setdefault("since", time))
            product.update({a: details[a] for a in SAYS if details.get(a) is not None})
        self._note_end(item)

    def _note_end(self, item: int) -> None:
        product = self._products[item]
        if product.get("until") and not product.get("deleted"):
            self._until[item] = product["until"]
        else:
            self._until.pop(item, None)
