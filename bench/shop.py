"""A shop whose visitors, sessions, items and event ids turn over, in batches made by numpy."""

from __future__ import annotations

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide.columns import Ragged
from shopguide.keys import Secret, item_key
from shopguide.records import Batch, Events, Kind, Names

START = 1_780_000_000.0  # epoch seconds of the first event
PER_SECOND = 100  # events of the shop's own time
REGULARS = [f"regular-{number}" for number in range(1000)]  # who stay; a tenth of all events is theirs
WATCHING = 10  # of them
VISIT = 8  # events of a visitor, in the mean
DID = {Kind.VIEW: 167, Kind.CART: 16, Kind.PURCHASE: 8, Kind.REMOVE: 1, Kind.FAVOURITE: 4, Kind.DISMISS: 2}


class Shop:
    """A fiftieth as many items at a time as the ``lifetime`` events that one stays; the next in its place is as
    popular."""

    def __init__(self, secret: Secret, lifetime: int, seed: int = 1) -> None:
        self._places = places = lifetime // 50
        self._random = np.random.default_rng(seed)
        self._regulars = np.array([secret.user_key(user) for user in REGULARS], np.uint64)
        self._lifetime = lifetime
        self._phase = self._random.random(places)
        self._place_of = np.cumsum(1 / (np.arange(places) + 10.0))
        self._items = [f"item-{place}-0" for place in range(places)]
        self._keys = np.array([item_key(item) for item in self._items], np.uint64)
        self._generation = np.zeros(places, np.int64)
        self._done = 0

    def chunk(self, n: int) -> Batch:
        """The next n events, after what changed in the catalogue."""
        catalogue = self._catalogue()
        random, number = self._random, np.arange(self._done, self._done + n)
        visitor = mixed((number - random.integers(0, 2000, n)) // VISIT % (1 << 62))
        regular = random.random(n) < 0.1
        user = np.where(regular, self._regulars[random.integers(0, len(REGULARS), n)], visitor)
        place = np.searchsorted(self._place_of, random.random(n) * self._place_of[-1])
        kinds = np.repeat(np.array(list(DID), np.uint8), list(DID.values()))
        kind = kinds[random.integers(0, len(kinds), n)]
        back = np.flatnonzero(kind == Kind.REMOVE)
        put = np.flatnonzero(kind == Kind.CART)
        back, put = back[: len(put)], put[: len(back)]
        back, put = np.maximum(back, put), np.minimum(back, put)
        kind[put], kind[back], user[back], place[back] = Kind.CART, Kind.REMOVE, user[put], place[put]
        event = np.where(random.random(n) < 1 / 3, mixed(number + (1 << 62)), np.uint64(0))
        twice = np.flatnonzero(event)[1::50]
        for column in (event, user, kind, place):
            column[twice] = column[twice - 1]
        event[twice - 1] = event[twice]
        time = START + number / PER_SECOND
        events = Events(
            arrived=time,
            kind=kind,
            user=user,
            session=np.where(~regular & (visitor % 2 == 0), mixed(user.view(np.int64)), np.uint64(0)),
            item=self._keys[place],
            time=time,
            event=event,
            data=Ragged.of_bytes([b""] * n),
        )
        used = np.union1d(place, np.flatnonzero(np.isin(self._keys, catalogue.item)))
        names = Names(key=self._keys[used], text=Ragged.of_bytes([self._items[at].encode() for at in used.tolist()]))
        if not self._done:
            catalogue = Events.join([catalogue, self._watches()])
        self._done += n
        rows = Events.join([catalogue, events])
        return Batch(0, 0, len(rows) - 1, rows, names)

    def _catalogue(self) -> Events:
        """Which items have gone, and which stand in their places now."""
        generation = (self._done / self._lifetime + self._phase).astype(np.int64)
        turned = np.flatnonzero(generation != self._generation).tolist()
        gone, data = [int(self._keys[place]) for place in turned], [msgpack.packb({"op": "delete"})] * len(turned)
        new = turned if self._done else range(self._places)
        self._generation = generation
        for place in new:
            self._items[place] = f"item-{place}-{generation[place]}"
            self._keys[place] = item_key(self._items[place])
            said = {"title": f"Thing {place} of {generation[place]}", "category": f"{place % 50}", "price": place % 97}
            data.append(msgpack.packb({"op": "upsert", **said}))
        return self._rows(Kind.ITEM, np.zeros(len(data), np.uint64), [*gone, *self._keys[list(new)].tolist()], data)

    def _watches(self) -> Events:
        watch = msgpack.packb({"expires": START + 1e9, "slot": "home", "n": 20})
        return self._rows(Kind.WATCH, self._regulars[:WATCHING], [0] * WATCHING, [watch] * WATCHING)

    def _rows(self, kind: Kind, user: NDArray[np.uint64], items: list[int], data: list[bytes]) -> Events:
        now = np.full(len(data), START + self._done / PER_SECOND)
        item = np.array(items, np.uint64)
        return Events(
            arrived=now, kind=np.full(len(data), kind), user=user, item=item, time=now, data=Ragged.of_bytes(data)
        )


def mixed(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Keys of numbers, all bits of use (splitmix64's finaliser)."""
    key = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    return key ^ (key >> np.uint64(31))
