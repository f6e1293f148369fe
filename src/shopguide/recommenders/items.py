"""The core's face in Python: item-item collaborative filtering, arrays in, arrays out.

model = Items(history=50, k=50, half_life=None)
model.observe_many(units, items, times)
keys, scores = model.similar(item)
"""

from shopguide._core import Items

__all__ = ["Items"]
