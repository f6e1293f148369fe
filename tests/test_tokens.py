"""Tokens: what is signed comes back, and nothing else passes."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.errors import TokenError
from shopguide.keys import Secret
from shopguide.tokens import LENGTH, LONGEST, Admin, KeyRing, Token, mint, mint_admin, verify, verify_admin

NOW = 1_700_000_000.0
OLD, NEW, OTHER = (Secret(word * 4) for word in (b"an old secret", b"a new secret", b"someone else's"))
KEYS = KeyRing.of(NEW)
ALPHABET = string.ascii_letters + string.digits + "-_"
USERS = st.integers(0, 2**64 - 1)


def refused(text: str | bytes, keys: KeyRing = KEYS, now: float = NOW) -> str:
    with pytest.raises(TokenError) as error:
        verify(keys, text, now)
    return str(error.value)


@given(USERS, st.floats(0.0021, LONGEST), st.floats(0, 4e9))
def test_says_what_was_signed(user, ttl, now):
    text = mint(KEYS, user, ttl, now)
    assert len(text) == LENGTH and set(text) <= set(ALPHABET)
    token = verify(KEYS, text, now)
    assert verify(KEYS, text.encode(), now) == token
    assert (token.user, token.key_id) == (user, KEYS.newest)
    rounding = 0.001 + 1e-6  # whole milliseconds, and doubles of large times
    assert abs(token.issued - now) <= rounding and abs(token.expires - now - ttl) <= rounding


@given(USERS, st.integers(0, LENGTH - 1), st.sampled_from(ALPHABET))
def test_any_other_character_is_refused(user, place, letter):
    text = mint(KEYS, user, 60, NOW)
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        assert refused(changed)


@given(st.text(max_size=80) | st.binary(max_size=80) | st.text(ALPHABET, min_size=LENGTH, max_size=LENGTH))
def test_rubbish_is_refused(text):
    assert refused(text)


@pytest.mark.parametrize("change", [str.swapcase, lambda t: t + "=", lambda t: t[:-1], lambda t: " " + t, "\n".join])
def test_has_exactly_one_form(change):
    assert refused(change(mint(KEYS, 5, 60, NOW)))


def test_the_other_alphabet_is_another_form():
    text = next(t for user in range(200) if "_" in (t := mint(KEYS, user, 60, NOW)))
    assert refused(text.replace("_", "/")) == "the token is malformed"


def test_ends_on_time():
    text = mint(KEYS, 5, 60, NOW)
    assert verify(KEYS, text, NOW + 59.99) == Token(5, NOW + 60, KEYS.newest, NOW)
    assert refused(text, now=NOW + 60) == "the token has expired"
    assert refused(mint(KEYS, 5, -1, NOW)) == "the token has expired"


def test_of_another_deployment_is_refused():
    assert refused(mint(KeyRing.of(OTHER), 5, 60, NOW)) == "the token is signed by an unknown key"
    assert refused(mint(KEYS, 5, 60, NOW)[:-4] + "AAAA") == "the token is forged"


def test_keys_rotate():
    before, during, after = KeyRing.of(OLD), KeyRing.of(NEW, OLD), KeyRing.of(NEW)
    early, late = mint(before, 5, 60, NOW), mint(during, 5, 60, NOW)
    assert verify(during, early, NOW).user == verify(during, late, NOW).user == verify(after, late, NOW).user == 5
    assert refused(early, after) == refused(late, before) == "the token is signed by an unknown key"


@pytest.mark.parametrize("ttl", [float("inf"), float("nan"), 1e300, LONGEST + 1, -2 * NOW])
def test_cannot_live_for_no_time(ttl):
    with pytest.raises(TokenError, match="cannot live"):
        mint(KEYS, 5, ttl, NOW)


def test_another_version_is_refused():
    raw = bytearray(urlsafe_b64decode(mint(KEYS, 5, 60, NOW)))
    raw[0] = 2
    assert "of version 2" in refused(urlsafe_b64encode(raw))


NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=64)


@given(NAMES, st.floats(0.001, LONGEST))
def test_an_admins_token_says_a_name_and_opens_no_user(name, ttl):
    text = mint_admin(KEYS, name, ttl, NOW)
    assert set(text) <= set(ALPHABET)
    admin = verify_admin(KEYS, text, NOW)
    assert admin.name == name and abs(admin.expires - NOW - ttl) <= 0.001
    assert verify_admin(KeyRing.of(OLD, NEW), text, NOW) == admin
    refused(text)
    with pytest.raises(TokenError, match="expired"):
        verify_admin(KEYS, text, NOW + ttl + 0.002)
    with pytest.raises(TokenError):
        verify_admin(KeyRing.of(OTHER), text, NOW)


@given(st.integers(0, 200), st.sampled_from(ALPHABET))
def test_an_admins_token_with_any_other_character_is_refused(place, letter):
    text = mint_admin(KEYS, "Ada", 60, NOW)
    at = place % (len(text) - 1)  # the last one has spare bits
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        with pytest.raises(TokenError):
            verify_admin(KEYS, changed, NOW)


@given(USERS, st.integers(0, 2**32))
def test_a_users_token_is_no_admins(user, ttl):
    with pytest.raises(TokenError):
        verify_admin(KEYS, mint(KEYS, user, ttl, NOW), NOW)


@given(st.text(max_size=100) | st.text(ALPHABET, min_size=60, max_size=330))
def test_rubbish_is_no_admins(text):
    with pytest.raises(TokenError):
        verify_admin(KEYS, text)


@pytest.mark.parametrize("name", ["", " ", "a\nb", " Ada", "x" * 65, "\x00"])
def test_what_is_no_name(name):
    with pytest.raises(TokenError, match="no name"):
        mint_admin(KEYS, name, 60)
    assert verify_admin(KEYS, mint_admin(KEYS, "Ada Lovelace", 60)).name == "Ada Lovelace"


def test_three_letters_make_a_token_as_long_as_a_users_and_still_none():
    text = mint_admin(KEYS, "Ada", 60, NOW)
    assert len(text) == LENGTH and verify_admin(KEYS, text, NOW) == Admin("Ada", NOW + 60)
    assert "token" in refused(text)
