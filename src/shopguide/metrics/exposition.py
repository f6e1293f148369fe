"""Samples as Prometheus reads them: its text format, 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from shopguide.metrics.families import FAMILIES, Sample
from shopguide.metrics.histogram import Histogram

OF_KIND: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class Exposition:
    """Of one process, whose own numbers (``process_*``) come with the samples."""

    def __init__(self) -> None:
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        PlatformCollector(registry=self._own)

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def text(self, samples: Iterable[Sample]) -> bytes:
        """The answer to a scrape. What is no sample of a known metric is left out: another version may have written
        it."""
        return generate_latest(_Families([*_families(samples), *self._own.collect()]))


class _Families(list[Any]):
    def collect(self) -> Iterator[Any]:
        return iter(self)


def _families(samples: Iterable[Sample]) -> list[Any]:
    found: dict[str, Any] = {}
    for name, labels, value in samples:
        family = FAMILIES.get(name)
        if family is None or len(family.labels) != len(labels):
            continue
        if name not in found:
            found[name] = OF_KIND[family.kind](name, family.help, labels=family.labels)
        if family.kind == "histogram":
            found[name].add_metric(labels, *_cumulative(Histogram.load(value)))
        else:
            found[name].add_metric(labels, value)
    return list(found.values())


def _cumulative(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """The buckets as (end, values up to it), and the sum."""
    ends = [*map(str, histogram.bounds), "+Inf"]
    return list(zip(ends, accumulate(histogram.counts), strict=True)), histogram.sum
