"""explore: who is new and what comes of it, against plain definitions; the same list on every line; and its price."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shopguide._core import Audience
from shopguide.errors import SettingError
from shopguide.featurize import OF_NEW, Featurizer
from shopguide.keys import partition_of
from shopguide.networks.visits import Visits
from shopguide.rank import Ranker, parts_of, strongest_of
from shopguide.recommenders.explore import DRAWN, KNOWN, PRIOR, Explore
from shopguide.records import SIMILAR, TRENDING, Batch, Events, Kind, Lessons, Looks, Names, Ragged
from shopguide.score import Scorer
from shopguide.settings import Settings, load

NOW, AGE = 1000.0, 100.0
NOTHING = np.zeros(0, np.uint64), np.zeros(0)
EXPLORING = {"rank.explore": 0.5, "rank.explore_age": AGE}


def near(item: int) -> Any:
    """The catalogue tells no likeness."""
    return NOTHING


def rows(said: list[tuple[int, float, dict[str, Any]]], first: int = 0) -> Batch:
    """ITEM rows: an item, when, and what is said of it."""
    events = Events(
        offset=np.arange(first, first + len(said)),
        kind=np.full(len(said), Kind.ITEM),
        item=np.array([item for item, _, _ in said], np.uint64),
        time=[time for _, time, _ in said],
        data=Ragged.of_bytes([msgpack.packb(details) for _, _, details in said]),
    )
    return Batch(0, first, first + len(said) - 1, events, Names())


def look(n: int = 100, now: float = NOW, slot: bytes = b"home", **lists: list[int]) -> Looks:
    columns: dict[str, Any] = {name: Ragged.of([items], "<u8") for name, items in lists.items()}
    return Looks(user=[7], n=[n], event_time=[now], slot=Ragged.of_bytes([slot]), **columns)


def explorer(**more: float) -> Explore:
    return Explore(load(flags={**EXPLORING, **more}).rank, Audience())


DETAILS = st.one_of(
    st.fixed_dictionaries({}, optional={"category": st.sampled_from(["a", "b"]), "stock": st.integers(0, 2)}),
    st.just({"op": "delete"}),
    st.just({"op": "mention", "category": "b"}),
    st.fixed_dictionaries({"op": st.just("stock"), "stock": st.integers(-1, 1)}),
)
SAID = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([NOW - AGE, NOW - 50, NOW, NOW + 1]), DETAILS), max_size=20
)
SOME = st.lists(st.integers(1, 6), max_size=3, unique=True)


@given(SAID, SOME, SOME, SOME, SOME, st.lists(st.tuples(st.integers(1, 6), st.sampled_from([KNOWN - 1, KNOWN]))))
def test_new_is_what_is_young_there_and_known_to_few(
    said: list[tuple[int, float, dict[str, Any]]],
    recent: list[int],
    bought: list[int],
    dismissed: list[int],
    tried: list[int],
    chosen: list[tuple[int, int]],
) -> None:
    one = explorer()
    one.learn_catalogue(rows(said))
    for item, shoppers in chosen:
        one._audience.add(np.full(shoppers, item, np.uint64), np.arange(1, shoppers + 1, dtype=np.uint64))
    since: dict[int, float] = {}
    there: dict[int, bool] = {}
    stock: dict[int, int] = {}
    for item, time, details in said:
        since.setdefault(item, time)
        there[item] = {"upsert": True, "delete": False}.get(details.get("op", "upsert"), there.get(item, True))
        stock[item] = details.get("stock", stock.get(item, 1))
    known = {item for item, shoppers in chosen if shoppers >= KNOWN}
    had = {*recent, *bought, *dismissed, *tried, *known}
    new = {i for i in since if NOW - AGE < since[i] <= NOW and there[i] and stock[i] > 0 and i not in had}
    asked = look(recent=recent, bought=bought, dismissed=dismissed, tried=tried)
    found = one.choose(asked, 0, near).tolist()
    assert set(found) == new and len(found) == len(new)
    again = explorer()
    again.load(one.dump(), {})
    again._audience = one._audience
    assert again.choose(asked, 0, near).tolist() == found
    one.learn_catalogue(rows(said))
    assert one.choose(asked, 0, near).tolist() == found, "a replay changes nothing"
    one.forget(np.array(sorted(since), np.uint64))
    assert not len(one.choose(asked, 0, near))


def test_what_resembles_comes_first_then_the_category_then_anything() -> None:
    one = explorer()
    said = [(i, NOW - 1, {"category": "a" if i < 5 else "b"}) for i in range(1, 9)]
    one.learn_catalogue(rows([(9, 0.0, {"category": "b"}), *said]))
    likes = {9: (np.array([3], np.uint64), np.array([0.01]))}
    for now in range(20):
        found = one.choose(look(recent=[9], now=NOW + now), 0, lambda item: likes[item]).tolist()
        assert found[0] == 3 and set(found[1:5]) == {5, 6, 7, 8} and set(found[5:]) == {1, 2, 4}


def test_of_many_new_items_each_gets_its_turn() -> None:
    one = explorer()
    one.learn_catalogue(rows([(i, NOW, {}) for i in range(1, 501)]))
    shown = Counter(i for at in range(500) for i in one.choose(look(now=NOW + at / 10), 0, near).tolist())
    assert len(shown) == 500 and max(shown.values()) < 4 * DRAWN and all(i in shown for i in (1, 250, 500))


def shown(one: Explore, item: int, users: range, chose: int) -> None:
    """Of these shoppers, who were shown the item, the first so many chose it."""
    n = len(users)
    of = np.array(users, np.uint64)
    one.shown(Lessons(sign=np.ones(n, np.int8), item=np.full(n, item, np.uint64), user=of))
    if chose:
        one._audience.add(np.full(chose, item, np.uint64), of[:chose])


def test_what_was_chosen_more_often_is_tried_more_often_and_the_other_not_never() -> None:
    one = explorer()
    one.learn_catalogue(rows([(1, NOW, {}), (2, NOW, {}), (3, NOW, {})]))
    shown(one, 1, range(1, 31), 6)
    shown(one, 2, range(1, 31), 0)
    assert [counts.tolist() for counts in one.evidence(np.array([1, 2, 3], np.uint64))] == [[30, 30, 0], [6, 0, 0]]
    first = Counter(int(one.choose(look(now=NOW + at / 100), 0, near)[0]) for at in range(2000))
    assert first[1] > first[3] > first[2] > 0


def test_items_are_tried_as_often_as_they_are_probably_the_best() -> None:
    one = explorer()
    one.learn_catalogue(rows([(1, NOW, {}), (2, NOW, {})]))
    shown(one, 1, range(1, 41), 35)
    shown(one, 2, range(1, 41), 25)
    tried = [int(one.choose(look(now=NOW + at / 100), 0, near)[0]) for at in range(4000)]
    random = np.random.default_rng(1)
    best = random.beta(1 + 35, PRIOR + 5, 100_000) > random.beta(1 + 25, PRIOR + 15, 100_000)
    assert np.mean(np.array(tried) == 1) == pytest.approx(best.mean(), abs=0.015)


def test_what_so_many_were_shown_or_chose_is_known() -> None:
    one = explorer()
    one.learn_catalogue(rows([(i, NOW, {}) for i in range(1, 5)]))
    shown(one, 1, range(1, KNOWN + 1), 0)
    shown(one, 2, range(1, KNOWN), 0)
    for item, shoppers in ((3, KNOWN), (4, KNOWN - 1)):
        one._audience.add(np.full(shoppers, item, np.uint64), np.arange(1, shoppers + 1, dtype=np.uint64))
    assert set(one.choose(look(), 0, near).tolist()) == {2, 4}


def test_lists_without_such_places_and_those_for_no_user_try_nothing() -> None:
    slots = {"cart": {"explore": 0.0}}
    one = Explore(load(flags={**EXPLORING, "rank.slots": slots}).rank, Audience())
    one.learn_catalogue(rows([(1, NOW, {})]))
    assert [len(one.choose(look(slot=s), 0, near)) for s in (b"home", b"cart", SIMILAR, TRENDING)] == [1, 0, 0, 0]
    assert Explore.wanted(load(flags={"rank.slots": {"cart": {"explore": 0.1}}}).rank)
    assert not Explore.wanted(load(flags={**EXPLORING, "rank.policy": "off"}).rank)
    with pytest.raises(SettingError, match=r"rank\.explore"):
        load(flags={"rank.explore": 0.6})


# --- the evidence, on the line

USERS, ITEMS = range(1, 5), range(10, 13)
KEY = {user: user << 32 | user for user in USERS}  # two of them a partition


class Lines:
    """featurize and score over two partitions; rows go where their users' keys say."""

    def __init__(self, flags: dict[str, Any]) -> None:
        self.settings: Settings = load(flags={"log.partitions": 2, **flags})
        self.featurizer, self.scorer = Featurizer(self.settings), Scorer(self.settings)
        self.ends = [0, 0]
        self.clock = NOW

    def say(self, kind: Kind, user: int, item: int = 0, event: int = 0, **details: Any) -> None:
        self.clock += 1
        self._append(
            Events(
                arrived=[self.clock],
                kind=[kind],
                user=np.array([user], np.uint64),
                item=np.array([item], np.uint64),
                time=[self.clock],
                event=np.array([event], np.uint64),
                data=Ragged.of_bytes([msgpack.packb(details) if details else b""]),
            )
        )

    def _append(self, events: Events) -> None:
        partition = partition_of(int(events.user[0]), 2)
        first = self.ends[partition]
        events.offset[:] = first
        self.ends[partition] += 1
        batch = Batch(partition, first, first, events, Names())
        update = self.featurizer.featurize(batch)
        self.scorer.learn_catalogue(batch)
        self.scorer.learn(update)
        for row in range(len(update.relay)):
            self._append(update.relay.take(np.array([row])))


class EvidenceMachine(RuleBasedStateMachine):
    """Rows of any kind in any order; what counts is what a plain list of the kept ones says."""

    @initialize()
    def begin(self) -> None:
        self.line = Lines(EXPLORING)
        self.kept: list[tuple[int, Kind, int, int]] = []
        self.account: dict[int, int] = {}
        self.events = 0

    def _do(self, kind: Kind, user: int, item: int, **details: str) -> None:
        self.events += 1
        self.line.say(kind, KEY[user], item, self.events, **details)
        if kind != Kind.IMPRESSION or details["list"].endswith(OF_NEW):
            self.kept.append((self.account.get(user, user), kind, item, self.events))

    @rule(user=st.sampled_from(USERS), item=st.sampled_from(ITEMS), kind=st.sampled_from([Kind.VIEW, Kind.CLICK]))
    def does(self, user: int, item: int, kind: Kind) -> None:
        self._do(kind, user, item)

    @rule(user=st.sampled_from(USERS), item=st.sampled_from(ITEMS), where=st.sampled_from(["7-3" + OF_NEW, "7-3"]))
    def sees(self, user: int, item: int, where: str) -> None:
        self._do(Kind.IMPRESSION, user, item, list=where)

    @rule(user=st.sampled_from(USERS), back=st.integers(0, 9))
    def takes_back(self, user: int, back: int) -> None:
        event = max(1, self.events - back)
        self.line.say(Kind.RETRACT, KEY[user], target=event)
        owner = self.account.get(user, user)
        self.kept = [row for row in self.kept if row[0] != owner or row[3] != event]

    @rule(user=st.sampled_from(USERS))
    def is_forgotten(self, user: int) -> None:
        if user not in self.account and user not in self.account.values():
            self.line.say(Kind.FORGET, KEY[user])
            self.kept = [row for row in self.kept if row[0] != user]

    @rule(visitor=st.sampled_from(USERS[:2]), account=st.sampled_from(USERS[2:]))
    def logs_in(self, visitor: int, account: int) -> None:
        self.line.say(Kind.ALIAS, KEY[visitor], account=KEY[account])
        self.kept = [(account if row[0] == visitor else row[0], *row[1:]) for row in self.kept]
        self.account[visitor] = account

    @rule()
    def begins_again(self) -> None:
        """From a snapshot."""
        scorer = Scorer(self.line.settings)
        scorer.load(self.line.scorer.dump())
        self.line.scorer = scorer

    @invariant()
    def counts_are_those_of_the_kept_rows(self) -> None:
        shown = {(user, item) for user, kind, item, _ in self.kept if kind == Kind.IMPRESSION}
        won = shown & {(user, item) for user, kind, item, _ in self.kept if kind != Kind.IMPRESSION}
        expected = [[sum(one[1] == item for one in pairs) for item in ITEMS] for pairs in (shown, won)]
        keys = np.array(ITEMS, np.uint64)
        assert [found.tolist() for found in self.line.scorer._explore.evidence(keys)] == expected
        batch = Scorer(self.line.settings)
        batch.bulk(self.line.featurizer.lessons(), self.line.featurizer.frontier)
        assert [found.tolist() for found in batch._explore.evidence(keys)] == expected
        assert batch.checksum() == self.line.scorer.checksum()
        for user in USERS:
            if user not in self.account:
                tried = self.line.featurizer.look(KEY[user], "home", 5, NOW).tried[0].tolist()
                assert tried == sorted(item for who, item in shown if who == user)


TestEvidence = EvidenceMachine.TestCase
TestEvidence.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_what_was_only_shown_was_not_done() -> None:
    line = Lines(EXPLORING)
    line.say(Kind.VIEW, KEY[1], 10)
    line.say(Kind.CART, KEY[1], 11)
    before = line.featurizer.look(KEY[1], "home", 5, NOW)
    checksum = line.scorer.checksum()
    line.say(Kind.IMPRESSION, KEY[1], 12, list="x" + OF_NEW)
    after = line.featurizer.look(KEY[1], "home", 5, NOW)
    assert after.tried[0].tolist() == [12] and not len(before.tried[0])
    assert after.of({**after.columns(), "tried": before.tried}) == before and line.scorer.checksum() == checksum
    assert Visits.of(line.featurizer.lessons()).ids.tolist() == [1, 2]


# --- the lists

HISTORY = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.integers(1, 12),
        st.sampled_from([Kind.VIEW, Kind.CLICK, Kind.PURCHASE, Kind.IMPRESSION]),
    ),
    max_size=25,
)


def lists(history: list[tuple[int, int, Kind]], partitions: int, replicas: int, again: bool = False) -> dict[int, Any]:
    """Each user's list, by a line of so many partitions and tasks that score; ``again``: all rows come twice."""
    made = load(flags={**EXPLORING, "log.partitions": partitions})
    featurizer, ranker = Featurizer(made), Ranker(made)
    scorers = [Scorer(made, replica, replicas) for replica in range(replicas)]
    items = [(i, NOW, {"title": f"thing {i % 3}", "category": str(i % 2)}) for i in range(1, 13)]
    names = Names(key=np.arange(1, 13, dtype=np.uint64), text=Ragged.of_bytes([b"i%d" % i for i in range(1, 13)]))
    told = rows(items)
    ranker.learn(Batch(0, told.first, told.last, told.events, names))
    for scorer in scorers:
        scorer.learn_catalogue(told)
    for partition in range(partitions):
        at = [n for n, one in enumerate(history) if partition_of(KEY[one[0]], partitions) == partition]
        mine = [history[n] for n in at]
        n = len(mine)
        marked = msgpack.packb({"list": OF_NEW})
        events = Events(
            offset=np.arange(n),
            kind=[kind for _, _, kind in mine],
            user=np.array([KEY[user] for user, _, _ in mine], np.uint64),
            item=np.array([item for _, item, _ in mine], np.uint64),
            time=NOW + np.array(at),
            data=Ragged.of_bytes([marked if kind == Kind.IMPRESSION else b"" for _, _, kind in mine]),
        )
        batch = Batch(partition, 0, n - 1, events, Names())
        for update in [featurizer.featurize(batch) for _ in range(1 + again)] if n else []:
            for scorer in scorers:
                scorer.learn(update)
    looks = Looks.join([featurizer.look(KEY[user], "home", 6, NOW + 50) for user in USERS])
    return {one["user"]: one for scorer in scorers for one in ranker.rank(scorer.answer(looks))}


@given(HISTORY)
@settings(deadline=None)
def test_every_line_makes_the_same_lists(history: list[tuple[int, int, Kind]]) -> None:
    def shown(made: dict[int, Any]) -> dict[int, Any]:
        return {user: [(i["item"], i.get("explored")) for i in one["items"]] for user, one in made.items()}

    plain = lists(history, 1, 1)
    assert shown(lists(history, 1, 3)) == shown(lists(history, 1, 1, again=True)) == shown(plain)
    assert shown(lists(history, 4, 2)) == shown(plain)
    for one in plain.values():
        tried = [place for place, item in enumerate(one["items"]) if item.get("explored")]
        assert len(tried) <= 3 and (0 not in tried or len(tried) == len(one["items"]))


def test_a_place_for_a_new_item_says_so_and_adds_nothing_to_its_score() -> None:
    found = lists([(1, 1, Kind.VIEW), (2, 1, Kind.VIEW), (2, 2, Kind.VIEW)], 1, 1)[KEY[1]]
    tried = [item for item in found["items"] if item.get("explored")]
    assert tried
    for item in tried:
        assert item["reasons"][0] == {"text": "new here", "because": "", "share": 0.0}
        new, *others = parts_of(found, item)
        assert new == {"signal": "explore", "because": "", "title": "", "amount": 0.0, "text": "new here"}
        assert sum(part["amount"] for part in others) == pytest.approx(item["score"])
        assert strongest_of(item["why"]) == "explore"
    assert all(strongest_of(item["why"]) != "explore" for item in found["items"] if item not in tried)


def test_what_was_known_before_anything_was_tried_is_not_new() -> None:
    settled, exploring = Scorer(load()), Scorer(load(flags=EXPLORING))
    settled.learn_catalogue(rows([(1, NOW, {})]))
    exploring.load(settled.dump())
    exploring.learn_catalogue(rows([(2, NOW, {})], first=1))
    assert exploring.answer(look()).looks.explored[0].tolist() == [2]
    settled.load(exploring.dump())
    assert not len(settled.answer(look()).looks.explored[0])
