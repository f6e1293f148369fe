"""The core's face in Python: what occurs together, what follows what, who is alike; arrays in, arrays out.

model = Items(history=50, k=50, half_life=None)
model.observe_many(units, items, times)
keys, scores = model.similar(item)
"""

from shopguide._core import Items, Next, Sessions

__all__ = ["Items", "Next", "Sessions"]
