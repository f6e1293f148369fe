"""A visit to the simulated shop in which every product page shows a list, and the list decides what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from shopguide.simulate.goods import Product
from shopguide.simulate.shop import BUYS, PAUSE, REGRETS, SEARCHES, Row, Shop
from shopguide.simulate.truth import CERTAIN, Memory, Shopper, examined

CART = 0.5  # probability of a cart for an item on the screen, of that of a click on it in a list
LEAVES = 0.25  # probability that a shopper who follows nothing in a list leaves
LONGEST = 60  # most products of a visit


class Visit:
    """One shopper, one session. In turn: :meth:`step` says what they do at ``now`` (epoch s), and while they are
    ``looking`` at a product :meth:`show` says which item of a list they follow.

    They go down the list; each item is examined with a probability that falls with its rank, and the first examined
    one that attracts them (:meth:`Truth.attraction`) is clicked. A click leads to that product; without one they leave
    (one time in four) or find the next by themselves. Carts have a probability from the truth, purchases of what is in
    the cart are decided when they leave. Randomness is the visit's own, so that visits begin alike whatever is shown.
    """

    def __init__(self, shop: Shop, shopper: Shopper, memory: Memory, number: int, begin: float) -> None:
        self.session = f"v{shop.seed}-{number}"
        self.shopper, self.memory, self.now = shopper, memory, begin
        self.looking, self.over = True, False
        self.clicked: set[str] = set()
        self.seen: set[str] = set()
        self._shop, self._random = shop, Random(f"visit {shop.seed} {number}")
        self.style = shop.style(self._random, shopper, begin)
        self._next = shop.choose(self._random, shopper, self.style, begin)
        self._found, self._cart = True, list[Product]()

    def step(self) -> list[Row]:
        """The events of this moment: a look at a product with what led to it and a cart, or at the end purchases."""
        return self._look(self._next) if self.looking else self._leave()

    def saw(self, items: Sequence[Product], where: str) -> list[Row]:
        """What the page says of items that come into view, in a list of this name."""
        return [self._row("impression", product, list=where) for product in items]

    def show(self, items: Sequence[Product]) -> int | None:
        """Show a list beside the product; the place of the item that is clicked (0 is the first), or None."""
        clicked = next((place for place, product in enumerate(items) if self._follows(place + 1, product)), None)
        if clicked is not None:
            self._next, self._found = items[clicked], False
            self.clicked.add(self._next.item)
            self.memory.clicked(self._next.item)
        elif self._random.random() < LEAVES:
            self.looking = False
        else:
            self._next, self._found = self._shop.choose(self._random, self.shopper, self.style, self.now), True
        if len(self.seen) >= LONGEST:
            self.looking = False
        self.now += self._random.expovariate(1 / PAUSE)
        return clicked

    def _follows(self, rank: int, product: Product) -> bool:
        if self._random.random() >= examined(rank):
            return False
        truth = self._shop.truth
        chance = truth.attraction(self.shopper, self.style, product, self.now, self.memory, self.seen)
        if self._random.random() < chance:
            return True
        self.memory.left(product.item, self.now)
        return False

    def _look(self, product: Product) -> list[Row]:
        rows = []
        if not self._found:
            rows.append(self._row("click", product))
        elif self._random.random() < SEARCHES:
            query = f"{self.style} {self._shop.scene.dress(product)['category']}".lower()
            rows.append({"kind": "search", **self._who(), "query": query})
        rows.append(self._row("view", product))
        self.seen.add(product.item)
        wanted = self._shop.truth.wanted(self.shopper, self.style, product, self.now)
        owned = product in self._cart or product.item in self.memory.bought
        if self._random.random() < min(CERTAIN, CART * wanted) and not owned and self._shop.scene.sells:
            self._cart.append(product)
            rows.append(self._row("cart", product, value=product.price))
        return rows

    def _leave(self) -> list[Row]:
        rows = []
        for product in self._cart:
            chance = self._random.random()
            if chance < BUYS:
                self.memory.bought.add(product.item)
                rows.append(self._row("purchase", product, value=product.price))
            elif chance < BUYS + REGRETS:
                rows.append(self._row("remove", product))
        self.over = True
        return rows

    def _row(self, kind: str, product: Product, **more: float | str) -> Row:
        return {"kind": kind, **self._who(), "item": product.item, **more}

    def _who(self) -> Row:
        return {"user": self.shopper.user, "session": self.session, "time": round(self.now, 3)}
