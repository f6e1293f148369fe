"""A visit's context: what is kept of it, the segments it is in, and who those are in words."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide import context
from shopguide.context import DEVICES, EVERYONE, FIELDS, REFERRERS, Clock, canonical, is_canonical, packed, segments

WORDS = st.one_of(
    st.text(), st.sampled_from(["de", "en-GB", "phone", "https://www.google.com/", "Spring 2026", "ẞ" * 64])
)


@pytest.mark.parametrize(
    ("field", "said", "kept"),
    [
        ("device", " Mobile ", "phone"),
        ("device", "fridge", ""),
        ("region", "de", "DE"),
        ("region", "en-GB", "GB"),
        ("region", "zh_Hant_TW", "TW"),
        ("region", "Bavaria", ""),
        ("region", "en", "EN"),
        ("referrer", "https://www.google.co.uk/search?q=my+secret", "search"),
        ("referrer", "mail.google.com", "mail"),
        ("referrer", "https://t.co/abc", "social"),
        ("referrer", "blog.example", "other"),
        ("referrer", "http://[", "other"),
        ("referrer", "direct", "direct"),
        ("referrer", "x" * 2049, None),
        ("campaign", "  Spring Sale ", "spring sale"),
        ("campaign", "x" * 65, None),
        ("campaign", "a\x00b", None),
        ("device", "\ud800", None),
    ],
)
def test_what_is_kept_of_what_is_said(field: str, said: str, kept: str | None) -> None:
    assert canonical(field, said) == kept


@given(field=st.sampled_from(FIELDS), said=WORDS)
def test_what_is_kept_is_kept_as_it_is(field: str, said: str) -> None:
    kept = canonical(field, said)
    assert not kept or is_canonical(field, kept)
    assert kept is None or len(kept) <= 64
    assert packed({field: kept or ""}) in range(2**32)


def test_nothing_else_is_canonical() -> None:
    assert not any(is_canonical("device", said) for said in ("", "Phone", None, 1, ["phone"]))


REGIONS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)


@given(
    device=st.sampled_from(["", *DEVICES]),
    referrer=st.sampled_from(["", *REFERRERS]),
    region=st.one_of(st.just(""), REGIONS),
    campaign=st.sampled_from(["", "spring"]),
    hour=st.integers(0, 23),
)
def test_the_segments_of_a_visit_say_what_it_was(
    device: str, referrer: str, region: str, campaign: str, hour: int
) -> None:
    said = {"device": device, "referrer": referrer, "region": region, "campaign": campaign}
    time = datetime(2026, 3, 1, hour, 30, tzinfo=UTC).timestamp()
    keys = segments(np.array([packed(said)], np.uint32), np.array([time]), Clock("UTC"))[0]
    assert context.segments_of(packed(said), time, Clock("UTC")) == tuple(keys[keys > 0].tolist())
    found = [context.words(int(key)) for key in keys if key]
    coming = {"direct": "by themselves", "search": "from a search", "social": "from social media"}
    coming |= {"mail": "from a mail", "other": "from other sites"}
    expected = [f"visitors on {device}s"] if device else []
    expected += [f"visitors who come {coming[referrer]}"] if referrer else []
    expected += [f"visitors from {region}"] if region else []
    expected += ["visitors of this campaign"] if campaign else []
    day = ["at night", "in the morning", "in the afternoon", "in the evening"][hour // 6]
    expected += [f"visitors {day}"] if any(said.values()) else []
    assert found == expected
    assert all(context.is_segment(int(key)) and key != EVERYONE for key in keys if key)


def test_all_regions_and_many_campaigns_are_told_apart() -> None:
    letters = [chr(a) + chr(b) for a in range(65, 91) for b in range(65, 91)]
    assert len({packed({"region": region}) for region in letters}) == 676
    assert len({packed({"campaign": f"campaign {at}"}) for at in range(100)}) >= 99


@given(times=st.lists(st.floats(0, 4e9), max_size=20))
def test_the_hours_are_those_of_the_zone(times: list[float]) -> None:
    for zone in ("Europe/Berlin", "Asia/Kathmandu", "UTC"):
        expected = [datetime.fromtimestamp(time, ZoneInfo(zone)).hour for time in times if time >= 631152000]
        assert Clock(zone).hours(np.array([t for t in times if t >= 631152000])).tolist() == expected


def test_a_rule_says_its_own_words() -> None:
    assert context.said_of(context.welcome(1), ["one", "two"]) == "two"
    assert context.said_of(context.welcome(2), ["one", "two"]) == ""  # of a list of before the settings changed
    assert context.is_segment(context.welcome(0)) and not context.is_segment(10)
