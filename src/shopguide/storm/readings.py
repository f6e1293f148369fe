"""What a task's stage holds, in numbers: read in the task's own thread, between two tuples."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

from shopguide.featurize import Featurizer
from shopguide.rank import Ranker
from shopguide.score import Scorer

Reading = tuple[str, list[str], float]  # a metric without its prefix, its labels but the task, the value


@singledispatch
def readings(stage: Any) -> Iterator[Reading]:
    """Of a stage that holds nothing worth a number there are none."""
    yield from ()


@readings.register
def _(stage: Featurizer) -> Iterator[Reading]:
    parts = stage.parts()
    for partition, part in parts.items():
        yield "events_expired_total", [str(partition)], part.kept_from
    doubles, sizes = [part.doubles for part in parts.values()], [part.shoppers.sizes() for part in parts.values()]
    users, events, nbytes = (sum(size[at] for size in sizes) for at in range(3))
    yield "users", [], users
    yield "user_events", [], events
    yield "double_ids", [], sum(map(len, doubles))
    yield "double_ids_evicted_total", [], sum(one.evicted for one in doubles)
    yield "structure_bytes", ["users"], nbytes
    yield "structure_bytes", ["double_ids"], sum(one.nbytes for one in doubles)


@readings.register
def _(stage: Scorer) -> Iterator[Reading]:
    for name, model in stage.models().items():
        stats = model.stats() if hasattr(model, "stats") else {"items": len(model)}
        yield "items", [name], stats["items"]
        if "units" in stats:
            yield "units", [name], stats["units"]
        for pairs in stats.keys() & {"pairs", "transitions"}:
            yield "pairs", [name], stats[pairs]
        if "thinned" in stats:
            yield "pairs_evicted_total", [name], stats["thinned"]
        held = model.nbytes
        for part, nbytes in held.items() if isinstance(held, dict) else [("", held)]:
            yield "structure_bytes", [f"{name}.{part}" if part else name], nbytes
    yield "structure_bytes", ["segments"], sum(one.nbytes for one in stage.segments.models.values())
    yield "structure_bytes", ["audience"], stage.audience.nbytes
    for model, version in stage.trained.in_force.named.items():
        yield "model_info", [model, version], int(model not in stage.trained.unloadable)


@readings.register
def _(stage: Ranker) -> Iterator[Reading]:
    yield "catalogue_items", [], len(stage.catalogue.names)
