"""Mapping files: what they may say, and what a file's rows become under one, whatever the file's format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.collect.chunk import Chunk
from shopguide.collect.encode import Encoder
from shopguide.collect.imports import MappedFiles
from shopguide.collect.mapping import Mapping, load_mapping
from shopguide.errors import SettingError, SourceError
from shopguide.keys import Secret
from shopguide.profile import INTERESTS, LONGEST, are_attributes, are_interests
from shopguide.records import Kind

SECRET = Secret(b"sixteen bytes of it")
CRM = Mapping.model_validate(
    {"user": "id", "consent": "ok", "interests": ["likes"], "profile": {"age": "age_group", "region": "area"}}
)
ROWS = [
    {"id": "c1", "ok": "yes", "likes": "tea, lamps", "age_group": "30-39", "area": "North"},
    {"id": "c2", "ok": "no", "likes": "tea", "age_group": "30-39", "area": "North"},
    {"id": "c3", "ok": None, "likes": "tea", "age_group": "30-39", "area": "North"},
    {"id": "c4", "ok": "yes", "likes": None, "age_group": None, "area": "  South \t East "},
    {"id": None, "ok": "yes", "likes": "tea", "age_group": None, "area": None},
    {"id": "c6", "ok": "yes", "likes": None, "age_group": "", "area": " "},
    {"id": "c7", "ok": "yes", "likes": None, "age_group": "x" * (LONGEST + 1), "area": None},
]


def csv(rows: list[dict[str, Any]]) -> str:
    lines = [",".join(rows[0])]
    lines += [",".join("" if v is None else f'"{v}"' for v in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


def written(path: Path, form: str) -> Path:
    """The same rows in a file of some form."""
    jsonl = "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in ROWS)
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=3)
    elif form == "gz":
        path.write_bytes(gzip.compress(csv(ROWS).encode()))
    else:
        path.write_text(csv(ROWS) if form == "csv" else jsonl)
    return path


def mapped(path: Path, mapping: Mapping) -> tuple[list[tuple[int, int, dict[str, Any]]], int]:
    """Kind, user and data of each row of a file for the log; and how many were without consent."""
    rows, refused = [], 0
    for chunk in MappedFiles([path], mapping).chunks():
        encoded = Encoder(SECRET, controls=True).encode(chunk)
        events = encoded.events
        rows += [(int(events.kind[at]), int(events.user[at]), events.details(at)) for at in range(len(events))]
        refused += len(encoded.refused)
    return rows, refused


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "gz"])
def test_rows_become_profiles_whatever_the_format(tmp_path: Path, form: str) -> None:
    rows, refused = mapped(written(tmp_path / "users", form), CRM)
    assert refused == 2
    users = {SECRET.user_key(name): name for name in ("c1", "c4")}
    assert [(kind, users[user], data) for kind, user, data in rows[:2]] == [
        (Kind.PROFILE, "c1", {"attributes": {"age": "30-39", "region": "North"}, "interests": ["tea", "lamps"]}),
        (Kind.PROFILE, "c4", {"attributes": {"region": "South East"}, "interests": []}),
    ]
    assert [(kind, data["reason"]) for kind, _, data in rows[2:]] == [
        (Kind.MALFORMED, "no user and no session"),
        (Kind.MALFORMED, "nothing is said"),
        (Kind.MALFORMED, "age is too long"),
    ]
    assert all(b"c2" not in data.get("raw", b"") for _, _, data in rows) and b"x" * LONGEST in rows[4][2]["raw"]


def test_values_that_are_no_plain_text(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "likes": ["tea", "tea", " green  tea "], "age_group": 42, "area": True},
        {"id": "8", "likes": [1, "b"], "age_group": 1.5, "area": None},
        {"id": "9", "likes": {"a": 1}},
        {"id": "10", "likes": [["a"]]},
        {"id": "11", "area": ["x"]},
        {"id": "12", "area": "a\u0007b"},
        {"id": "13", "likes": "a" * (LONGEST + 1)},
        {"id": "14", "likes": [f"w{at}" for at in range(2 * INTERESTS)]},
        {"id": {"a": 1}, "likes": "tea"},
    ]
    path = tmp_path / "users.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no json\n")
    found, _ = mapped(path, CRM.model_copy(update={"consent": None}))
    assert found[0] == (
        Kind.PROFILE,
        SECRET.user_key("7"),
        {"attributes": {"age": "42", "region": "yes"}, "interests": ["tea", "green tea"]},
    )
    assert found[1][2] == {"attributes": {"age": "1.5"}, "interests": ["1", "b"]}
    assert [data.get("reason") for _, _, data in found[2:]] == [
        *["likes is no text and no list of texts"] * 2,
        *["region is no text"] * 2,
        "nothing is said",
        None,
        "user is no id",
        "no JSON object",
    ]
    assert len(found[7][2]["interests"]) == INTERESTS


VALUE = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4)


@given(st.lists(st.fixed_dictionaries({"id": VALUE, "ok": VALUE, "likes": VALUE, "age_group": VALUE}), max_size=4))
def test_every_row_is_kept_rejected_or_without_consent(rows: list[dict[str, Any]]) -> None:
    names = ("id", "ok", "likes", "age_group")
    theirs = Chunk(len(rows), {name: [row[name] for row in rows] for name in names}, lambda row: b"raw")
    encoded = Encoder(SECRET, controls=True).encode(CRM.chunk(theirs))
    assert len(encoded.events) + len(encoded.refused) == len(rows)
    for at, kind in enumerate(encoded.events.kind.tolist()):
        said = encoded.events.details(at)
        if kind == Kind.MALFORMED:
            assert said["reason"] and said["raw"] == b"raw"
        else:
            assert are_attributes(said["attributes"]) and are_interests(said["interests"])
            assert said["attributes"] or said["interests"]


def test_what_users_did_elsewhere_are_events(tmp_path: Path) -> None:
    mapping = Mapping.model_validate({"user": "member", "social": {"item": "sku", "time": "liked_at"}})
    path = tmp_path / "likes.csv"
    path.write_text("member;sku;liked_at\nc1;i1;2024-01-01T00:00:00\nc1;;1700000000\nc1;i2;never\n")
    rows, _ = mapped(path, mapping)
    assert [(kind, data.get("reason")) for kind, _, data in rows] == [
        (Kind.FAVOURITE, None),
        (Kind.MALFORMED, "no item"),
        (Kind.MALFORMED, "time cannot be read"),
    ]


WRONG = {
    'interests = ["a"]': "user is missing",
    'user = "a"': "should have [profile] or interests, or else [social]",
    'user = "a"\ninterests = ["b"]\n[social]\nitem = "i"\ntime = "t"': "or else [social]",
    'user = 3\ninterests = ["b"]': "user = 3: ",
    'user = ""\ninterests = ["b"]': "user = '': ",
    'user = "a"\ninterests = "b"': "interests = 'b': ",
    'user = "a"\ninterest = ["b"]': "interest = ['b']: no such key; allowed are user, consent, profile, interests,",
    'user = "a"\n[profile]\nage = 3': "profile.age = 3: ",
    'user = "a"\n[profile]\n"" = "b"': "names of attributes should have 1 to 100 printable characters",
    'user = "a"\n[social]\nitem = "i"': "social.time is missing",
    'user = "a"\n[social]\nitem = "i"\ntime = "t"\nwhen = "t"': "no such key; allowed are item, time, kind",
    'user = "a"\n[social]\nitem = "i"\ntime = "t"\nkind = "follow"': "social.kind = 'follow': Input should be",
    "user =": "is no TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_mapping_is_one_line_that_names_the_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(SettingError) as refusal:
        load_mapping(path)
    assert WRONG[text] in str(refusal.value) and str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_mapping_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read the mapping .*no\.toml: No such file"):
        load_mapping(tmp_path / "no.toml")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "gz"])
def test_a_column_that_is_not_there_is_named_with_its_key(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "users", form)
    for change, said in (
        ({"user": "nr"}, "user = 'nr'"),
        ({"consent": "gdpr"}, "consent = 'gdpr'"),
        ({"profile": {"age": "years"}}, "profile.age = 'years'"),
        ({"interests": ["likes", "loves"]}, "interests = 'loves'"),
    ):
        with pytest.raises(SourceError) as refusal:
            MappedFiles([path], CRM.model_copy(update=change))
        assert f"{path}: no column for the mapping's {said}; it has id, ok, likes, age_group, area" == str(
            refusal.value
        )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"PAR1rubbish", "no whole Parquet file"),
        (b"\x1f\x8b\x08", "damaged"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "users"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=said):
        MappedFiles([path], CRM)
    with pytest.raises(SourceError, match="No such file"):
        MappedFiles([tmp_path / "none"], CRM)


def test_a_damaged_end_is_a_rejected_row_or_without_consent(tmp_path: Path) -> None:
    path = tmp_path / "users.gz"
    path.write_bytes(gzip.compress(csv(ROWS[:2] * 2000).encode())[:-200])
    whole, refused = mapped(path, CRM)
    assert refused > 1 and all(kind == Kind.PROFILE for kind, _, _ in whole)
    rows, _ = mapped(path, CRM.model_copy(update={"consent": None}))
    assert rows[-1][2]["reason"] == "file is truncated"
