"""Receipts: genuine ones verify, and nothing else does."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide import receipts
from shopguide.keys import Secret

SECRET = Secret(b"a secret of sixteen")
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
SAID = st.dictionaries(st.text("abc", min_size=1, max_size=2), VALUE, min_size=1, max_size=4)


@given(SAID)
def test_a_receipt_verifies_after_any_way_through_json(said: dict[str, Any]) -> None:
    receipt = receipts.sign(SECRET, said)
    assert receipts.verify(SECRET, receipt)
    again = json.loads(json.dumps(dict(reversed(receipt.items())), indent=3))
    assert receipts.verify(SECRET, again) and again.pop("signature") and again == said


@given(SAID, st.data())
def test_any_change_is_noticed(said: dict[str, Any], data: st.DataObject) -> None:
    receipt = receipts.sign(SECRET, said)
    name = data.draw(st.sampled_from(sorted(receipt)))
    other = data.draw(VALUE.filter(lambda value: json.dumps(value) != json.dumps(receipt[name])))
    assert not receipts.verify(SECRET, {**receipt, name: other})
    assert not receipts.verify(SECRET, {n: v for n, v in receipt.items() if n != name})
    assert not receipts.verify(SECRET, {**receipt, "more": other})


def test_another_secret_signs_otherwise() -> None:
    receipt = receipts.sign(SECRET, {"user": "u1", "rows": 3})
    assert not receipts.verify(Secret(b"another secret of it"), receipt)
    assert (
        receipt["signature"] != receipts.sign(Secret(b"another secret of it"), {"user": "u1", "rows": 3})["signature"]
    )


@pytest.mark.parametrize("signature", [None, 5, "", [], "é", "\ud800", "0" * 64])
def test_what_is_no_signature_is_refused(signature: Any) -> None:
    assert not receipts.verify(SECRET, {"user": "u1", "signature": signature})


def test_the_signature_is_that_of_the_description() -> None:
    said = {"b": 1, "a": "é"}
    digest = hmac.digest(SECRET.receipt, rb'{"a":"\u00e9","b":1}', "sha256").hex()
    assert receipts.sign(SECRET, said)["signature"] == digest
