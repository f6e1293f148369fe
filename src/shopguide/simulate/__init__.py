"""A shop with known truth, to find out what lists are worth.

truth ── shop ──► events (``shopguide simulate --events``, the demo, tests)
  └──► visit ◄── lists ◄── arms ◄── experiment ──► outcome (``shopguide simulate --visits``)
"""

from shopguide.simulate.goods import CATEGORIES as CATEGORIES
from shopguide.simulate.goods import Product as Product
from shopguide.simulate.scenes import SCENES as SCENES
from shopguide.simulate.scenes import Scene as Scene
from shopguide.simulate.shop import START as START
from shopguide.simulate.shop import Shop as Shop
from shopguide.simulate.truth import REGIMES as REGIMES
from shopguide.simulate.truth import Regime as Regime
from shopguide.simulate.truth import Shopper as Shopper
