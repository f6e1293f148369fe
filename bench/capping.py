"""What optional caps save, and the error that they cause: lists beside those of the model without."""

from __future__ import annotations

import numpy as np
from learning import cpu
from numpy.typing import NDArray
from reading import newest_items
from streams import Stream
from table import Base, Table

from shopguide.recommenders import Items, Sessions

ROW_CAPS = (4096, 1024, 256)
UNIT_CAPS = (5000, 1000, 500)
M = 500  # newest sessions an item that a read wants


def found_again(exact: list[NDArray[np.uint64]], lists: list[NDArray[np.uint64]]) -> float:
    """% of the exact lists' items that the others have."""
    found = sum(len(np.intersect1d(a, b)) for a, b in zip(exact, lists, strict=True))
    return 100 * found / max(sum(map(len, exact)), 1)


def top20(model: Items, items: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    return [model.similar(item, 20)[0] for item in items.tolist()]


def rows(table: Table, stream: Stream) -> None:
    """Items learn all, then take a tenth back; lists of items drawn as often as they occur, before and after."""
    wide = stream.wide()
    random = np.random.default_rng(6)
    asked = random.choice(wide[1], 5000)
    gone = tuple(column[random.permutation(len(stream))[: len(stream) // 10]] for column in wide)
    exact: list[list[NDArray[np.uint64]]] = []
    base = Base("no cap", 0)
    for cap in (None, *ROW_CAPS):
        model, name = Items(row_cap=cap), f"row_cap {cap or 'none'}"
        spent = cpu(lambda m=model: m.observe_many(*wide)) / len(stream) * 1e9  # type: ignore[misc]
        held = model.nbytes["pairs"] / len(stream)
        base = base if cap else Base("no cap", held)
        table.line(stream.name, f"{name}: observe_many", [spent], "ns/event")
        table.line(stream.name, f"{name}: pairs", [held], "B/event", base)
        found = [top20(model, asked)]
        model.retract_many(*gone)
        found.append(top20(model, asked))
        exact = exact or found
        if cap:
            table.line(stream.name, f"{name}: of the exact top 20", [found_again(exact[0], found[0])], "% found")
            table.line(stream.name, f"{name}: a tenth taken back", [found_again(exact[1], found[1])], "% found")


def units(table: Table, stream: Stream) -> None:
    """Sessions learn all, reads want the newest M of an item; then a tenth of the units is taken back."""
    wide, random = stream.wide(), np.random.default_rng(7)
    asked = [np.unique(items) for items in newest_items(stream, random, 5000)]
    every = np.unique(wide[0])
    left = np.isin(wide[0], random.choice(every, len(every) // 10, replace=False))
    gone = wide[0][left], wide[1][left], wide[2][left]
    exact: list[list[NDArray[np.uint64]]] = []
    base = Base("no cap", 0)
    for cap in (None, *UNIT_CAPS):
        model, name = Sessions(unit_cap=cap), f"unit_cap {cap or 'none'}, m = {M}"
        model.observe_many(*wide)
        held = model.nbytes["postings"] / len(stream)
        base = base if cap else Base("no cap", held)
        table.line(stream.name, f"{name}: postings", [held], "B/event", base)
        found = [answers(model, asked)]
        model.retract_many(*gone)
        found.append(answers(model, asked))
        exact = exact or found
        if cap:
            table.line(stream.name, f"{name}: of the exact top 20", [found_again(exact[0], found[0])], "% found")
            table.line(stream.name, f"{name}: a tenth taken back", [found_again(exact[1], found[1])], "% found")


def answers(model: Sessions, asked: list[NDArray[np.uint64]]) -> list[NDArray[np.uint64]]:
    found = []
    for items in asked:
        weights = 1 / np.arange(1.0, len(items) + 1)
        found.append(model.recommend(items, weights, weights, n=20, m=M)[0])
    return found
