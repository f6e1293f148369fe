"""Somebody else's messages by a mapping file."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import orjson
import pytest

from shopguide.collect.foreign import SEVERAL, Foreign, load_foreign
from shopguide.errors import SettingError

CLICKS = """
user = ["customer.id", "customer.anonymous"]
item = ["order.lines.sku", "product.sku"]
value = "order.lines.price.amount"
time = "occurredAt"
id = "eventId"
kind = "eventType"
title = "product.names.0"
consent = "customer.consent.personalisation"
each = "order.lines"
[kinds]
pdp_view = "view"
order_placed = "purchase"
"*" = "ignore"
"""
CUSTOMER = {"id": "c1", "consent": {"personalisation": True}}
VIEW = {
    "eventId": "e1",
    "eventType": "pdp_view",
    "occurredAt": "2026-11-30T08:00:00+01:00",
    "customer": CUSTOMER,
    "product": {"sku": "s1", "names": ["Tea", "Thee"]},
}


def mapping(tmp_path: Path, text: str) -> Foreign:
    (tmp_path / "m.toml").write_text(text)
    return load_foreign(tmp_path / "m.toml")


def rows(foreign: Foreign, message: Any, key: str | None = "k") -> list[dict[str, Any]]:
    told = foreign.rows(orjson.dumps(message), key, 7.0)
    assert not any(one.problem for one in told)
    return [{name: value for name, value in one.fields.items() if value is not None} for one in told]


def test_paths_into_a_message(tmp_path: Path) -> None:
    foreign = mapping(tmp_path, CLICKS)
    said = {"user": "c1", "item": "s1", "time": VIEW["occurredAt"], "event": "e1", "kind": "view", "title": "Tea"}
    assert rows(foreign, VIEW) == [{**said, "consent": True}]
    assert rows(foreign, [VIEW, {**VIEW, "eventType": "scrolled"}]) == [{**said, "consent": True}]
    nobody = {**VIEW, "customer": {"anonymous": "a9"}}
    assert rows(foreign, nobody) == [{**said, "user": "a9", "consent": False}]
    late = {name: value for name, value in VIEW.items() if name != "occurredAt"}
    assert rows(foreign, late)[0]["time"] == 7.0
    assert "item" not in rows(foreign, {**VIEW, "product": "s1"})[0]


def test_each_line_of_an_order_is_a_row_with_an_id_of_its_own(tmp_path: Path) -> None:
    lines = [{"sku": "s1", "price": {"amount": 3}}, {"sku": "s2", "price": {"amount": 4.5}}]
    order = {"eventId": "e2", "eventType": "order_placed", "customer": CUSTOMER, "order": {"lines": lines}}
    found = rows(mapping(tmp_path, CLICKS), order)
    assert [(row["item"], row["value"], row["event"], row["kind"], row["user"]) for row in found] == [
        ("s1", 3, "e2:0", "purchase", "c1"),
        ("s2", 4.5, "e2:1", "purchase", "c1"),
    ]
    order["order"] = {"lines": lines[:1]}
    assert [(row["item"], row["event"]) for row in rows(mapping(tmp_path, CLICKS), order)] == [("s1", "e2")]


def test_a_catalogue_whose_items_end_with_a_message_without_a_value(tmp_path: Path) -> None:
    foreign = mapping(
        tmp_path,
        'item = "@key"\ntitle = "name"\nstock = "stock"\n[always]\nkind = "item"\n[tombstone]\nop = "delete"\n',
    )
    tea = {"item": "s1", "title": "Tea", "stock": 3, "time": 7.0, "kind": "item"}
    assert rows(foreign, {"name": "Tea", "stock": 3}, "s1") == [tea]
    assert rows(foreign, {"name": "Tea", "stock": False}, "s1") == [{**tea, "stock": 0}]
    assert foreign.rows(None, "s1", 7.0)[0].fields == {"item": "s1", "time": 7.0, "kind": "item", "op": "delete"}


def test_a_word_of_theirs_forgets_nobody_unless_the_mapping_says_so(tmp_path: Path) -> None:
    (row,) = rows(mapping(tmp_path, 'user = "u"\nkind = "k"\n'), {"u": "c1", "k": "forget"})
    assert row["kind"] == "forget, which [kinds] does not name"
    for kinds in ('forget = "forget"', '"*" = "forget"'):
        (row,) = rows(mapping(tmp_path, f'user = "u"\nkind = "k"\n[kinds]\n{kinds}\n'), {"u": "c1", "k": "forget"})
        assert row["kind"] == "forget"


def test_the_mappings_in_the_manual_are_right(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "operations.md").read_text()
    clicks, products = re.findall(
        r"\n((?: {4}(?:user|item) = .*\n)(?: {4}.*\n)+)", text.split("### Topics that are")[1]
    )[:2]
    order = {"eventType": "order_placed", "customer": {"id": "c", "consent": {"personalisation": "yes"}}}
    order["order"] = {"lines": [{"sku": "s1", "price": {"amount": 2}}]}
    (row,) = rows(mapping(tmp_path, textwrap.dedent(clicks)), order)
    assert (row["user"], row["item"], row["kind"], row["value"], row["consent"]) == ("c", "s1", "purchase", 2, "yes")
    (row,) = rows(mapping(tmp_path, textwrap.dedent(products)), {"categories": ["Tea"], "available": True}, "s1")
    assert (row["kind"], row["item"], row["category"], row["stock"]) == ("item", "s1", "Tea", 1)


def test_what_is_no_message_keeps_its_reason_and_has_no_consent(tmp_path: Path) -> None:
    foreign = mapping(tmp_path, CLICKS)
    for value in (None, b"", b"{", b"7", b"[7]", b"\xff"):
        (told,) = foreign.rows(value, "k", 7.0)
        assert told.problem and told.fields == {"consent": False}
    (told,) = foreign.rows(orjson.dumps([VIEW] * (SEVERAL + 1)), "k", 7.0)
    assert told.problem == "more than 1,000 rows in a message"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('usr = "a"', "usr: no such name; there are user, session, item"),
        ("user = 1", "user: "),
        ('user = ["a", 3]', "user: "),
        ('kind = "a"', "should say where user, session or item stand"),
        ('user = "a"\n[kinds]\nb = "vew"', "kinds.b = 'vew': should be a kind"),
        ('user = "a"\n[always]\nkindd = "item"', "kindd: no such name"),
        ("user = ", "is no TOML"),
    ],
)
def test_a_wrong_mapping_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(SettingError, match=line) as raised:
        mapping(tmp_path, text)
    assert "\n" not in str(raised.value)
    with pytest.raises(SettingError, match="cannot read the mapping"):
        load_foreign(tmp_path / "nowhere.toml")
