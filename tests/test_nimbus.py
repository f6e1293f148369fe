"""Which Nimbus is meant, and what is said where none is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shopguide.errors import ClusterError, SettingError
from shopguide.storm.nimbus import Nimbus, find

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMPARSE_NIMBUS", raising=False)


def test_flag_over_environment_over_file_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(find()) == "127.0.0.1:16627"
    (tmp_path / "config.json").write_text(json.dumps({"envs": {"a": {"nimbus": ""}, "b": {"nimbus": "file:1"}}}))
    assert str(find()) == "file:1"
    monkeypatch.setenv("STREAMPARSE_NIMBUS", "environment")
    assert str(find()) == "environment:6627"
    assert str(find("flag:2")) == "flag:2"


@pytest.mark.parametrize("address", ["host:port", ":1", "a:b:c"])
def test_no_address(address: str) -> None:
    with pytest.raises(SettingError, match="no address"):
        find(address)


@pytest.mark.parametrize("text", ["{", "[]", '{"envs": 1}', '{"envs": {"a": 1}}'])
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SettingError, match="names no environments"):
        find()


def test_nobody_there() -> None:
    with pytest.raises(ClusterError, match="Nimbus at 127"):
        Nimbus("127.0.0.1", 1).cluster()


def test_the_projects_files_differ_only_in_where() -> None:
    """``sparse`` needs no -e as long as a file names one environment only."""
    (local,) = json.loads((ROOT / "config.json").read_text())["envs"].items()
    (prod,) = json.loads((ROOT / "config.prod.json").read_text())["envs"].items()
    assert (local[0], prod[0]) == ("local", "prod") and local[1]["options"] == prod[1]["options"]
    assert not local[1]["use_virtualenv"] and prod[1]["use_virtualenv"] and not prod[1]["install_virtualenv"]
