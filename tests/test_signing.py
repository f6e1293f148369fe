"""Token keys on disk: they rotate, old ones end, and a broken file is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopguide import signing
from shopguide.errors import SettingError, TokenError
from shopguide.keys import Secret
from shopguide.signing import KeyFile, load_ring
from shopguide.tokens import LONGEST, mint, mint_admin, verify, verify_admin

SECRET = Secret(b"a secret of the signing tests")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_700_000_000.0]
    monkeypatch.setattr(signing.time, "time", lambda: now[0])
    return now


def test_a_rotation_keeps_old_tokens_until_they_can_live_no_longer(tmp_path: Path, clock: list[float]) -> None:
    file = KeyFile(SECRET.token, tmp_path)
    before = file.ring()
    assert len(before) == 1 and not (tmp_path / "token-keys").exists()
    old = mint(before, 5, LONGEST, clock[0])
    file.rotate()
    during = load_ring(SECRET, tmp_path)
    assert during.newest != before.newest and (tmp_path / "token-keys").stat().st_mode & 0o777 == 0o600
    assert verify(during, old, clock[0] + LONGEST - 1).user == 5
    new = mint(during, 6, 60, clock[0])
    assert verify(during, new, clock[0]).user == 6
    with pytest.raises(TokenError, match="unknown key"):
        verify(before, new, clock[0])
    clock[0] += LONGEST - 1
    assert len(file.ring()) == 2
    clock[0] += 2
    assert len(file.ring()) == 1 and file.ring().newest == during.newest
    file.rotate()
    assert len((tmp_path / "token-keys").read_text().splitlines()) == 2, "what has ended is not written again"


def test_retired_keys_are_void_at_once_for_admins_too(tmp_path: Path) -> None:
    file = KeyFile(SECRET.token, tmp_path)
    file.retire()
    assert not file.path.exists(), "there is nothing to let go of"  # type: ignore[union-attr]
    old, admin = mint(file.ring(), 5, 60), mint_admin(file.ring(), "Ada", 60)
    file.rotate()
    assert verify_admin(file.ring(), admin).name == "Ada"
    file.retire()
    for check, text in ((verify, old), (verify_admin, admin)):
        with pytest.raises(TokenError, match="unknown key"):
            check(file.ring(), text)


@pytest.mark.parametrize("text", ["", "xyz 5\n", "00112233445566778899aabbccddeeff\n", "0011 5\n", "\udcff 1\n"])
def test_a_broken_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token-keys"
    path.write_text(text, errors="surrogateescape")
    path.chmod(0o600)
    with pytest.raises(SettingError, match="token-keys"):
        load_ring(SECRET, tmp_path)


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPGUIDE_TOKEN_KEYS_FILE", str(tmp_path / "elsewhere"))
    KeyFile(SECRET.token, tmp_path / "state").rotate()
    assert (tmp_path / "elsewhere").exists() and load_ring(SECRET, None).newest == load_ring(SECRET, tmp_path).newest
    with pytest.raises(SettingError, match="others can read"):
        (tmp_path / "elsewhere").chmod(0o644)
        load_ring(SECRET, None)
