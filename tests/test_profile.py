"""A shopper's profile: what rows make of it, against plain dicts; what a row may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.profile import ATTRIBUTES, INTERESTS, LONGEST, NOTHING, Profile, are_attributes, are_interests

SAID = st.fixed_dictionaries(
    {
        "attributes": st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")),
        "interests": st.lists(st.sampled_from(["tea", "lamps"]), max_size=2),
        "beneath": st.booleans(),
    }
)


@given(st.lists(SAID, max_size=8))
def test_the_newest_holds_and_what_lies_beneath_fills_in(rows: list[dict[str, Any]]) -> None:
    profile = NOTHING
    for row in rows:
        profile = profile.told(row)
    attributes: dict[str, str] = {}
    interests: list[str] = []
    for row in rows:
        for name, value in row["attributes"].items():
            if not (row["beneath"] and name in attributes):
                attributes[name] = value
        if row["interests"] and not (row["beneath"] and interests):
            interests = row["interests"]
    assert profile == Profile(attributes, tuple(interests))
    assert bool(profile) == bool(profile.attributes or profile.interests)


def test_what_is_said_later_lies_above_what_was_filled_in() -> None:
    profile = NOTHING.told({"attributes": {"a": "1"}}).told({"attributes": {"a": "2", "b": "2"}, "beneath": True})
    assert profile.attributes == {"a": "1", "b": "2"}
    assert profile.told({"attributes": {"b": "3"}}).attributes == {"a": "1", "b": "3"}
    assert profile.told(profile.said()) == profile


def test_a_profile_does_not_grow_for_ever() -> None:
    profile = NOTHING
    for at in range(3 * ATTRIBUTES):
        profile = profile.told({"attributes": {f"a{at}": "x", "kept": "y"}, "interests": []})
    assert len(profile.attributes) == ATTRIBUTES and profile.attributes["kept"] == "y"
    assert f"a{3 * ATTRIBUTES - 1}" in profile.attributes and "a0" not in profile.attributes


@pytest.mark.parametrize(
    ("attributes", "fine"),
    [
        ({}, True),
        ({"age": "30-39", "地区": "北"}, True),
        ({"a" * LONGEST: "b" * LONGEST}, True),
        ({"a" * (LONGEST + 1): "b"}, False),
        ({"a": "b" * (LONGEST + 1)}, False),
        ({"a": ""}, False),
        ({"": "a"}, False),
        ({"a": "b\nc"}, False),
        ({"a": 3}, False),
        ({3: "a"}, False),
        ({f"a{at}": "b" for at in range(ATTRIBUTES + 1)}, False),
        (["a"], False),
        (None, False),
    ],
)
def test_what_attributes_may_be(attributes: Any, fine: bool) -> None:
    assert are_attributes(attributes) == fine


@pytest.mark.parametrize(
    ("interests", "fine"),
    [
        ([], True),
        (["tea", "茶"], True),
        (["tea"] * (INTERESTS + 1), False),
        (["tea\n"], False),
        ("tea", False),
        ([1], False),
    ],
)
def test_what_interests_may_be(interests: Any, fine: bool) -> None:
    assert are_interests(interests) == fine
