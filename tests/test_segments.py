"""What visitors like a new one chose, and what the shop's rules show them: by definition, and through all changes."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rows_of

from shopguide._core import Query
from shopguide.columns import pack_table
from shopguide.context import EVERYONE, Clock, packed, segments, unpack_moved, welcome
from shopguide.errors import SettingError
from shopguide.featurize import Featurizer
from shopguide.keys import item_key
from shopguide.recommenders.base import Context
from shopguide.recommenders.content import Content
from shopguide.recommenders.popular import WEIGHT, Popular
from shopguide.recommenders.segments import ACQUAINTED, PRIOR, Segments
from shopguide.recommenders.welcome import Welcome
from shopguide.records import Batch, Events, Kind, Lessons, Moved, Names, Ragged
from shopguide.score import Scorer
from shopguide.settings import load

HALF_LIFE = 1000.0
SETTINGS = load("shop", flags={"learn.trend_half_life": HALF_LIFE, "log.partitions": 1})
NOW = 5000.0
SAID: tuple[dict[str, str], ...] = ({}, {"region": "DE"}, {"region": "FR", "device": "phone"}, {"device": "phone"})


def asking(said: dict[str, str], now: float = NOW) -> Context:
    none = np.zeros(0, np.uint64)
    keys = segments(np.array([packed(said)], np.uint32), np.array([now]), Clock("UTC"))[0]
    return Context(Query([], []), none, none.astype(np.uint8), 0, 0, now, segments=tuple(keys[keys > 0].tolist()))


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(0, 5000), st.sampled_from([Kind.VIEW, Kind.CART])),
        max_size=30,
    ),
    who=st.integers(0, 3),
)
def test_an_amount_is_the_segment_s_share_drawn_to_everybody_s(rows: list[tuple[Any, ...]], who: int) -> None:
    one = Segments(SETTINGS.learn)
    kinds = np.array([row[3] for row in rows], np.uint8)
    one.observe(
        Lessons(
            sign=np.ones(len(rows)),
            kind=kinds,
            item=np.array([row[1] for row in rows], np.uint64),
            time=np.array([row[2] for row in rows], np.float64),
            context=[packed(SAID[row[0]]) for row in rows],
        )
    )
    at = {time: time // 21600 for time in range(0, 5001)}  # all in one part of the day
    expected = {}
    for segment, among in (
        [(("region", SAID[who]["region"]), [r for r in rows if SAID[r[0]].get("region") == SAID[who]["region"]])]
        if "region" in SAID[who] else []
    ) + (
        [(("device", "phone"), [r for r in rows if SAID[r[0]].get("device") == "phone"])]
        if "device" in SAID[who] else []
    ) + ([("day", [r for r in rows if SAID[r[0]] and at[r[2]] == 0])] if SAID[who] else []):  # fmt: skip
        weigh = lambda part: sum(WEIGHT[r[3]] * 2 ** ((r[2] - NOW) / HALF_LIFE) for r in part)  # noqa: E731
        known = [r for r in rows if SAID[r[0]]]
        for item in {r[1] for r in among}:
            share = weigh([r for r in known if r[1] == item]) / weigh(known)
            amount = weigh([r for r in among if r[1] == item])
            expected[segment, item] = (amount + PRIOR * share) / (weigh(among) + PRIOR)
    found = rows_of(one, asking(SAID[who]), 50)
    assert sorted(row.amount for row in found) == pytest.approx(sorted(expected.values()))
    assert sorted(row.item for row in found) == sorted(item for _, item in expected)


def test_what_is_taken_back_leaves_no_segment() -> None:
    one = Segments(SETTINGS.learn)
    taught = Lessons(sign=[1], kind=[Kind.VIEW], item=[5], time=[1.0], context=[packed(SAID[2])])
    one.observe(taught)
    assert EVERYONE in one.models and len(one.models) == 4
    one.retract(taught)
    assert not one.models and not rows_of(one, asking(SAID[2]), 9)


def row(kind: Kind, user: int, item: int = 0, said: dict[str, Any] | None = None, event: int = 0) -> dict[str, Any]:
    return {"kind": kind, "user": user, "item": item, "data": msgpack.packb(said) if said else b"", "event": event}


def taught(rows: list[dict[str, Any]]) -> tuple[Featurizer, Scorer]:
    """A line of one partition: what rows cause comes back behind them."""
    featurizer, scorer = Featurizer(SETTINGS), Scorer(SETTINGS)
    first = 0
    while rows:
        columns = {name: np.array([r[name] for r in rows], np.uint64) for name in ("user", "item", "event")}
        events = Events(
            offset=np.arange(first, first + len(rows)),
            kind=[r["kind"] for r in rows],
            time=np.arange(first, first + len(rows), dtype=float) + 100,
            data=Ragged.of_bytes([r["data"] for r in rows]),
            **columns,
        )
        update = featurizer.featurize(Batch(0, first, first + len(rows) - 1, events, Names()))
        scorer.learn(update)
        first += len(rows)
        relayed = update.relay
        rows = [
            {**row(Kind(kind), user, item, None, event), "data": relayed.data.bytes_at(at)}
            for at, (kind, user, item, event) in enumerate(
                zip(*(getattr(relayed, n).tolist() for n in ("kind", "user", "item", "event")), strict=True)
            )
        ]
    return featurizer, scorer


def weights(scorer: Scorer) -> dict[tuple[int, int], float]:
    models = scorer.segments.models
    return {
        (s, item): w
        for s, m in models.items()
        for item, w in zip(*map(np.ndarray.tolist, m.top(99, 0, NOW)), strict=True)
    }


def test_events_that_go_over_to_an_account_keep_their_context() -> None:
    said = SAID[2]
    visits = [row(Kind.VIEW, 1, 11, said), row(Kind.VIEW, 1, 12), row(Kind.SEARCH, 1, 0, {"query": "tea", **said})]
    featurizer, scorer = taught([*visits, row(Kind.ALIAS, 1, said={"account": 2}), row(Kind.VIEW, 1, 13, said)])
    assert featurizer.events_of(2)["context"].tolist() == [packed(said), 0, packed(said), packed(said)]
    assert sorted(item for segment, item in weights(scorer) if segment == EVERYONE) == [11, 13]
    lessons, again = featurizer.lessons(), Scorer(SETTINGS)
    again.bulk(lessons, featurizer.frontier)
    assert weights(again) == pytest.approx(weights(scorer))
    loaded = Scorer(SETTINGS)
    loaded.load(scorer.dump())
    assert weights(loaded) == weights(scorer)
    _, forgotten = taught([*visits, row(Kind.FORGET, 1)])
    assert not forgotten.segments.models and not len(forgotten.audience.dump()[0])


def test_an_adoption_of_a_version_without_contexts_has_none() -> None:
    table = pack_table(Moved(item=[5], time=[1.0], session=[9], kind=[Kind.VIEW], event=[0]))
    del table["context"]
    assert unpack_moved(table).context.tolist() == [0]


# --- rules


def welcoming(*rules: dict[str, Any], clock: str = "UTC") -> Welcome:
    settings = load("shop", flags={"score.rules": list(rules)})
    content = Content(SETTINGS.score)
    return Welcome(settings.score.rules, Clock(clock), Popular(SETTINGS.learn, content), content)


SHOWN: dict[str, Any] = {"items": ["a"], "because": "it is spring"}


@pytest.mark.parametrize(
    ("when", "fits", "not_"),
    [
        ({}, {}, None),
        ({"campaign": "Spring"}, {"campaign": "spring"}, {"campaign": "autumn"}),
        ({"device": ["phone", "tablet"]}, {"device": "tablet"}, {"device": "desktop"}),
        ({"region": ["DE"], "referrer": "mail"}, {"region": "DE", "referrer": "mail"}, {"region": "DE"}),
    ],
)
def test_a_rule_fits_whom_it_names(when: dict[str, Any], fits: dict[str, str], not_: dict[str, str] | None) -> None:
    one = welcoming({**SHOWN, **when})
    assert [(r.item, r.because) for r in rows_of(one, asking(fits), 9)] == [(item_key("a"), welcome(0))]
    assert not_ is None or not rows_of(one, asking(not_), 9)


@pytest.mark.parametrize(
    ("hours", "at"), [((6, 18), range(6, 18)), ((22, 6), [22, 23, *range(6)]), ((0, 24), range(24))]
)
def test_a_rule_holds_at_its_hours_of_the_shop(hours: tuple[int, int], at: Any) -> None:
    one = welcoming({**SHOWN, "hours": hours}, clock="Asia/Kathmandu")  # five hours and three quarters ahead
    held = [hour for hour in range(24) if rows_of(one, asking({}, 3600.0 * hour - 5.75 * 3600 + 86400 * 10000), 9)]
    assert held == sorted(at)


def test_a_rule_s_category_begins_with_what_is_popular_in_it() -> None:
    content = Content(SETTINGS.score)
    popular = Popular(SETTINGS.learn, content)
    details = [msgpack.packb({"title": f"Thing {n}", "category": "Tea", "brand": "Ox"}) for n in range(3)]
    events = Events(offset=np.arange(3), kind=[Kind.ITEM] * 3, item=[1, 2, 3], data=Ragged.of_bytes(details))
    for one in (popular, content):
        one.learn_catalogue(Batch(0, 0, 2, events, Names()))
    popular.observe(Lessons(sign=[1], kind=[Kind.VIEW], item=[3], time=[NOW]))
    rules = load("shop", flags={"score.rules": [
        {"category": "Tea", "because": "tea", "weight": 0.5}, {"brand": "Ox", "items": ["b"], "because": "ox"}
    ]}).score.rules  # fmt: skip
    found = rows_of(Welcome(rules, Clock("UTC"), popular, content), asking({}), 9)
    assert [r.item for r in found if r.because == welcome(0)] == [3, 1, 2]
    assert [r.item for r in found if r.because == welcome(1)] == [item_key("b"), 1, 2, 3]
    assert max(r.amount for r in found if r.because == welcome(0)) == 0.5


def test_it_fades_with_each_item_that_a_visitor_chooses() -> None:
    one = welcoming({**SHOWN, "weight": 0.5})
    counts = [one.faded((), NOW, chosen) for chosen in range(ACQUAINTED + 2)]
    assert [c["segment"] for c in counts] == pytest.approx([*np.linspace(1, 0, ACQUAINTED + 1), 0.0])
    assert [c["welcome"] for c in counts] == pytest.approx([c["segment"] / 2 for c in counts])


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"because": "x"}, "score.rules.0.because = 'x': should be of a rule that names a category, a brand or items"),
        ({"items": ["a"]}, "score.rules.0.because is missing"),
        ({**SHOWN, "device": "fridge"}, "score.rules.0.device.0 = 'fridge': should be 'phone', 'tablet' or 'desktop'"),
        ({**SHOWN, "region": ["Bavaria"]}, "region = ['Bavaria']: should be countries of two letters: DE"),
        ({**SHOWN, "campaign": [""]}, "score.rules.0.campaign = ['']: should be names of 1 to 64 characters"),
        ({**SHOWN, "hours": [6, 6]}, "hours = [6, 6]: should be two different hours of a day: [18, 23], [22, 6]"),
        ({**SHOWN, "weight": 0}, "score.rules.0.weight = 0: should be greater than 0"),
        ({**SHOWN, "colour": "red"}, "score.rules.0.colour = 'red': no such setting of a rule; it has device, region"),
        ({**SHOWN, "because": "a\nb"}, "should be words on one line"),
    ],
)  # fmt: skip
def test_a_bad_rule_is_one_line_at_the_start(rule: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingError) as found:
        load("shop", flags={"score.rules": [rule]})
    assert why in str(found.value) and "\n" not in str(found.value)


def test_the_time_zone_is_one() -> None:
    with pytest.raises(SettingError, match=r"learn.time_zone = 'Mars/Base': should be a name of the tz database"):
        load("shop", flags={"learn.time_zone": "Mars/Base"})
