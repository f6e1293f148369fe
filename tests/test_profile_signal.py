"""profile, the signal: what fits a taste, by its plain definition, and the reason in the shop's own words."""

from __future__ import annotations

import math

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_tastes import BACK, DID, HALF_LIFE, NOTHING, SAID, T0, by_definition, learned

from shopguide._core import Blend, Query
from shopguide.rank import Ranker, parts_of
from shopguide.rank.interests import ITS_PRICE, PROFILE, written
from shopguide.recommenders.base import PLACE, Context
from shopguide.recommenders.bm25 import K1, B
from shopguide.recommenders.content import terms
from shopguide.recommenders.profile import Profile
from shopguide.records import SIGNALS, Batch, Candidates, Events, Kind, Looks, Names, Ragged, Slate
from shopguide.settings import load
from shopguide.tastes import Past, build, term_key

KEYS = {term_key(term): term for said in SAID.values() for term in terms(said)}


def asking(user: int, past: Past | None) -> Context:
    empty = np.zeros(0, np.uint64)
    return Context(
        Query(empty, np.zeros(0)), empty, np.zeros(0, np.uint8), 0, user, T0, past=past.packed() if past else b""
    )


def put(profile: Profile, user: int, past: Past | None, found: tuple[int, ...] = ()) -> dict[int, dict[str, float]]:
    """What it puts into a blend where others ``found`` items: by item, by its cause, amounts."""
    blend = Blend(len(SIGNALS))
    blend.begin()
    blend.put(PLACE["items"], np.array(found, np.uint64), np.ones(len(found)))
    profile.score(asking(user, past), 50, blend)
    said: dict[int, dict[str, float]] = {}
    for signal, item, because, amount in zip(*(column.tolist() for column in blend.rows()), strict=True):
        if signal == PLACE["profile"]:
            said.setdefault(item, {})[KEYS.get(because, "")] = amount
    return said


@given(st.lists(DID | BACK, min_size=1, max_size=30), st.integers(1, 3))
def test_it_is_bm25_of_the_roots_of_a_taste(said: list[tuple[int, int, int, int]], user: int) -> None:
    now = learned(said)
    profile = Profile()
    profile.tastes = build(now.lessons(), SAID, HALF_LIFE, {})
    found = put(profile, user, Past.of("", 0, now.events_of(user)))
    taste = by_definition(now, user, profile.tastes.landmark)
    known = {*SAID, *now.lessons().item.tolist()}
    of = {item: terms(SAID.get(item, {})) for item in known}
    mean = np.mean([len(one) for one in of.values() if one])
    wanted, popularity = {}, dict.fromkeys(known, 0.0)
    for item, time in zip(now.lessons().item.tolist(), now.lessons().time, strict=True):
        popularity[item] += 2 ** ((time - profile.tastes.landmark) / HALF_LIFE)
    for item, words in of.items():
        given_ = {}
        for word in words:
            n = sum(word in one for one in of.values())
            idf = math.log(1 + (len(known) - n + 0.5) / (n + 0.5))
            given_[word] = math.sqrt(taste.get(word, 0)) * idf * (K1 + 1) / (1 + K1 * (1 - B + B * len(words) / mean))
            given_[word] *= (1 + popularity[item]) ** 0.25
        if sum(given_.values()) > 0:
            wanted[item] = given_
    assert found.keys() == wanted.keys()
    for item, parts in found.items():
        assert sum(parts.values()) == pytest.approx(sum(wanted[item].values()))
        (cause,) = parts.keys() - {""}
        assert parts[cause] == pytest.approx(max(wanted[item].values())) == pytest.approx(wanted[item][cause])


def test_it_is_silent_without_profiles_and_where_a_look_is_of_others() -> None:
    now = learned([(1, 1, 1, 0)])
    profile = Profile()
    past = Past.of("", 0, now.events_of(1))
    assert not put(profile, 1, past, (1, 2))
    profile.tastes = build(now.lessons(), SAID, HALF_LIFE, {})
    assert put(profile, 1, past) and not put(profile, 1, None)
    assert not put(profile, 1, past._replace(version="other")) and not profile.said(
        1, past._replace(version="b").packed()
    )
    assert not put(profile, 1, Past("", 0, 0, *NOTHING)) and not put(profile, 9, Past("", 0, 0, *NOTHING))


def test_of_interests_that_many_items_have_the_strongest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = learned([(1, 1, 1, 0)])
    profile, past = Profile(), Past.of("", 0, now.events_of(1))
    profile.tastes = build(now.lessons(), SAID, HALF_LIFE, {})
    assert put(profile, 1, past).keys() == {1, 2, 3}
    monkeypatch.setattr("shopguide.recommenders.profile.REACH", 2)
    assert put(profile, 1, past, (2, 99)).keys() == {1}


def test_only_the_strongest_interests_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = learned([(1, 1, 1, 0), (5, 1, 2, 0)])
    profile, past = Profile(), Past.of("", 0, now.events_of(1))
    profile.tastes = build(now.lessons(), SAID, HALF_LIFE, {})
    monkeypatch.setattr("shopguide.recommenders.profile.STRONGEST", 1)
    found = put(profile, 1, past)
    assert found.keys() == {2} and found[2].keys() == {"light", ""} and found[2][""] == 0


def test_a_taste_in_words_is_all_of_it() -> None:
    now = learned([(1, 1, 1, 0), (5, 1, 2, 0)])
    profile = Profile()
    profile.tastes = build(now.lessons(), SAID, HALF_LIFE, {})
    said = profile.said(1, Past.of("", 0, now.events_of(1)).packed())
    taste = by_definition(now, 1, profile.tastes.landmark)
    assert (said["events"], said["purchases"], said["money"], said["newest"]) == (2, 1, 3.0, T0)
    shares = {one["term"]: one["share"] for one in said["interests"]}
    assert shares == pytest.approx({term: weight / sum(taste.values()) for term, weight in taste.items()}, abs=1e-5)
    assert said["interests"][0]["share"] == max(shares.values())


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("category:garden", "garden"),
        ("brand:cath kidston", "Cath Kidston"),
        ("price:3", ITS_PRICE),
        ("light", "Lights"),
        ("cath", "Cath"),
        ("nothing of it", ""),
    ],
)
def test_an_interest_is_called_what_the_shop_calls_it(term: str, text: str) -> None:
    product = {
        "title": "(Garden Lights), 2",
        "category": "garden",
        "brand": "Cath Kidston",
        "price": 12.0,
        "since": 1.0,
    }
    assert written(term_key(term), product) == text


def test_an_interest_that_has_no_words_any_more_is_not_named() -> None:
    garden, gone = term_key("garden"), term_key("gone")
    ranker = Ranker(load("shop"))
    data = Ragged.of_bytes([msgpack.packb({"op": "upsert", "title": "Garden chair"})])
    chair = Events(offset=[0], arrived=[T0], kind=[Kind.ITEM], item=np.array([1], np.uint64), time=[T0], data=data)
    names = Names(key=np.array([1, 2], np.uint64), text=Ragged.of_bytes([b"chair", b"other"]))
    ranker.learn(Batch(0, 0, 0, chair, names))
    candidates = Candidates(
        look=[0, 0],
        item=np.array([1, 2], np.uint64),
        score=[3.0, 2.0],
        signal=Ragged.of([[PROFILE, PROFILE], [PROFILE, PROFILE]], "u1"),
        because=Ragged.of([[garden, 0], [gone, 0]], "<u8"),
        amount=Ragged.of([[2.0, 1.0], [1.0, 1.0]], "<f8"),
        shared=Ragged.of([[0, 0], [0, 0]], "<u4"),
    )
    looks = Looks(user=np.array([1], np.uint64), slot=Ragged.of_bytes([b"home"]), n=[5])
    found = ranker.rank(Slate(0, 0, 0, looks, candidates, T0))[0]
    told = [[(reason["text"], reason["share"]) for reason in item["reasons"]] for item in found["items"]]
    assert told == [
        [("fits what you like: Garden", 0.6667), ("fits what you like", 0.3333)],
        [("fits what you like", 1.0)],
    ]
    assert [part["amount"] for part in parts_of(found, found["items"][0])] == [2.0, 1.0]
