"""Keys: stable, never 0, and no way from a user's key back to the user without the secret."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopguide.errors import SettingError
from shopguide.keys import Secret, category_key, event_key, item_key, partition_of


@given(st.text(max_size=20))
def test_keys_are_64_bit_never_0_and_apart_by_purpose(text: str) -> None:
    secret = Secret(b"0123456789abcdef")
    keys = [item_key(text), category_key(text), event_key(text), secret.user_key(text), secret.session_key(text)]
    assert all(0 < key < 2**64 for key in keys) and len(set(keys)) == 5
    assert keys[0] == item_key(text) and keys[3] == Secret(b"0123456789abcdef").user_key(text)
    assert keys[3] != Secret(b"another secret!!").user_key(text)


@given(st.integers(1, 2**64 - 1), st.integers(1, 64))
def test_a_key_has_one_partition(key: int, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_the_item_key_is_pinned() -> None:
    """Keys are on disk: they may not change between versions."""
    assert item_key("85123A") == 0x639EBB924ECB71
    assert Secret(b"0123456789abcdef").user_key("17850") == 0x7D20A22166D9778C


def test_the_secret_is_made_once_and_private(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("SHOPGUIDE_SECRET")
    with pytest.raises(SettingError, match="neither SHOPGUIDE_SECRET is set nor is there a file"):
        Secret.load(tmp_path)
    made = Secret.load(tmp_path / "state", create=True)
    assert (tmp_path / "state" / "secret").stat().st_mode & 0o777 == 0o600
    assert Secret.load(tmp_path / "state", create=True).user_key("u") == made.user_key("u")
    monkeypatch.setenv("SHOPGUIDE_SECRET", "short")
    with pytest.raises(SettingError, match="has 5 bytes"):
        Secret.load(tmp_path)
    monkeypatch.delenv("SHOPGUIDE_SECRET")
    with pytest.raises(SettingError, match="no secret"):
        Secret.load(None)
    (tmp_path / "state" / "secret").chmod(0o640)
    with pytest.raises(SettingError, match="others can read"):
        Secret.load(tmp_path / "state")


def test_a_service_manager_may_keep_the_secret(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("SHOPGUIDE_SECRET")
    credential = tmp_path / "credential"
    credential.write_text("0123456789abcdef\n")
    credential.chmod(0o440)  # as systemd and containers have it
    monkeypatch.setenv("SHOPGUIDE_SECRET_FILE", str(credential))
    assert Secret.load(None).user_key("17850") == Secret(b"0123456789abcdef").user_key("17850")
    assert Secret.load(tmp_path / "state", create=True).token == Secret.load(None).token
    assert not (tmp_path / "state").exists()
    credential.unlink()
    with pytest.raises(SettingError, match="SHOPGUIDE_SECRET_FILE"):
        Secret.load(None)


def test_the_protocol_says_how_a_users_key_is_made() -> None:
    text = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()
    code = textwrap.dedent(re.search(r"\n( {4}import hashlib, hmac\n.*?)\n\n(?=\S)", text, re.S)[1])
    said: dict[str, Any] = {}
    exec(code, said)
    secret, user, key = re.search(r"With the secret `(.*)` the user `(.*)` is `(\w{16})`", text).groups()
    assert said["user_key"](secret.encode(), user) == f"{Secret(secret.encode()).user_key(user):016x}" == key
