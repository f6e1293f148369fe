"""Rows and ids of Python values against what plain Python makes of them, and keys against the library xxhash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from shopguide._core import bytes_of, gather, is_text, keys_of, look_up

NAMES = st.sampled_from(["user", "item", "kind", "odd", "more"])
IDS = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.text(st.characters(max_codepoint=127), max_size=200),
    st.text("ab \t\x1c\x7f", max_size=4),
)


@given(st.lists(st.dictionaries(NAMES, st.one_of(st.none(), st.integers(), st.text(max_size=2)))))
def test_gather_is_a_get_for_each_name(rows: list[dict[str, Any]]) -> None:
    wanted = {"user": 1, "item": 2, "kind": 3}
    columns, others = gather(rows, wanted)
    names = set().union(*rows)
    assert (columns.keys(), others) == (names & wanted.keys(), names - wanted.keys())
    for name, column in columns.items():
        assert column == [row.get(name) for row in rows]


def test_what_is_no_dict_is_no_row() -> None:
    for wrong in ([1], [{}, None], [[("user", "u")]]):
        with pytest.raises(TypeError):
            gather(wrong, {})


def test_a_text_is_a_str_and_nothing_like_it() -> None:
    assert is_text([]) and is_text(["a", None, ""])
    assert not any(is_text(["a", wrong]) for wrong in (1, b"b", True, [], type("Sub", (str,), {})("a")))


def test_a_memory_is_asked_for_what_it_lacks() -> None:
    class Lengths(dict):
        def __missing__(self, text: str | None) -> int:
            self[text] = len(text or "")
            return self[text]

    memory = Lengths({"known": 2**64 - 1})
    assert look_up(["known", "new", None, "new"], memory).tolist() == [2**64 - 1, 3, 0, 3]
    assert memory == {"known": 2**64 - 1, "new": 3, None: 0}
    with pytest.raises(KeyError):
        look_up(["unknown"], {})
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError):
            look_up(["a"], {"a": wrong})


@pytest.mark.parametrize("seed", [0, 2, 2**64 - 1])
def test_keys_are_those_of_the_library_at_every_length(seed: int) -> None:
    def refuse(value: str | None) -> int:
        raise AssertionError(value)

    for length in range(1, 129):
        letters = np.random.default_rng([length, seed]).integers(33, 127, (20, length), np.uint8)
        ids = [row.tobytes().decode() for row in letters]
        assert keys_of(ids, seed, refuse).tolist() == [xxhash.xxh3_64_intdigest(text.encode(), seed) for text in ids]
        assert bytes_of(ids, refuse) == [row.tobytes() for row in letters]


@given(st.lists(IDS))
def test_what_is_no_plain_id_is_left_to_the_other(ids: list[str | None]) -> None:
    def plain(text: str | None) -> bool:
        return bool(text) and text.isascii() and len(text) <= 128 and text[0] > " " and text[-1] > " "

    found = keys_of(ids, 2, lambda _: 7).tolist()
    assert found == [xxhash.xxh3_64_intdigest(text.encode(), 2) if plain(text) else 7 for text in ids]
    assert bytes_of(ids, lambda _: b"?") == [text.encode() if plain(text) else b"?" for text in ids]
