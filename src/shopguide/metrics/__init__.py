"""What operators are told in numbers: each metric's name and meaning (``families``), how long things take
(``histogram``), and the answer that Prometheus reads (``exposition``).

A sample is a plain value, so that a task in another process can hand it over: (metric, labels, value), the value of a
histogram being its :meth:`Histogram.dump`.
"""

from shopguide.metrics.families import FAMILIES, Family, Sample, reason_word
from shopguide.metrics.histogram import DELAYS, ROWS, SECONDS, Histogram

__all__ = [
    "DELAYS",
    "FAMILIES",
    "ROWS",
    "SECONDS",
    "Family",
    "Histogram",
    "Sample",
    "reason_word",
]
