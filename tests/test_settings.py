"""Settings: preset < file < environment < flags; a mistake is one line naming key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopguide.errors import SettingError
from shopguide.settings import PRESETS, Settings, load


def test_the_order_of_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[rank]\nn = 7\nseen = 'keep'\n")
    assert load("news").rank.seen == "drop"
    assert (load("news", file).rank.seen, load("news", file).rank.n) == ("keep", 7)
    monkeypatch.setenv("SHOPGUIDE_RANK_N", "8")
    assert load("news", file).rank.n == 8
    assert load("news", file, {"rank.n": 9, "push.endpoint": None}).rank.n == 9


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_right_and_differ(preset: str) -> None:
    settings = load(preset)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert preset == "shop" or settings != load("shop")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no_such = 3", r"no_such = 3: no such setting"),
        ("[push]\nheartbeat = 'often'", r"push\.heartbeat = 'often': should be a valid number"),
        ("[log]\npartitions = 0", r"log\.partitions = 0: should be greater than or equal to 1"),
        ("[learn]\nunit = 'shop'", r"learn\.unit = 'shop': should be 'session' or 'user'"),
        ("[push", r"is no TOML"),
        ("rank = 3", r"rank = 3: should be a table$"),
        ("[rank]\nprice_min = 5\nprice_max = 3", r"rank\.price_max = 3: should be no less than price_min = 5$"),
        ("[rank]\nprice_max = inf", r"rank\.price_max = inf: should be a finite number$"),
        (
            "[http]\norigins = ['shop.example']",
            r"^http\.origins = \['shop\.example'\]: should be \*, or scheme and host",
        ),
        ("[http]\norigins = ['https://a.example/b']", r"^http\.origins = .*: should be \*, or scheme and host"),
        ("[http]\nwrite_keys = ['a b']", r"^http\.write_keys = \['a b'\]: should be keys of 1 to 64 of"),
        ("[http]\nwrite_keys = 3", r"^http\.write_keys = 3: should be a valid list$"),
        ("[collect]\nrules = 3", r"^collect\.rules = 3: should be a valid list$"),
        ("[[collect.rules]]\nkind = 'view'", r"^collect\.rules\.0\.path is missing$"),
        (
            "[[collect.rules]]\nkind = 'eat'\npath = '/'\nitem = 'x'",
            r"^collect\.rules\.0\.kind = 'eat': should be 'v",
        ),
        ("[[collect.rules]]\nkind = 'view'\npath = '('", r"^collect\.rules\.0\.path = '\(': should be a regular expr"),
        (
            "[[collect.rules]]\nkind = 'view'\npath = '(?P<x>.)'",
            r"rules\.0\.path = .*: should be without other named",
        ),
        ("[[collect.rules]]\nkind = 'cart'\npath = '/'", r"^collect\.rules\.0\.item = None: should be a parameter's"),
        ("[[collect.rules]]\nkind = 'search'\npath = '/'", r"^collect\.rules\.0\.query = None: should be a param"),
        (
            "[[collect.rules]]\nkind = 'view'\npath = '/'\nsku = 'x'",
            r"sku = 'x': no such setting of a rule; it has ki",
        ),
        ("[http]\nbots = 'eat'", r"^http\.bots = 'eat': should be 'refuse' or 'keep'$"),
        ("[http]\naddress_rate = 0", r"^http\.address_rate = 0: should be greater than 0$"),
        ("[rank]\nslots = 3", r"rank\.slots = 3: should be a table$"),
        ("[rank.slots]\ncart = 3", r"rank\.slots\.cart = 3: should be a table$"),
        ("[rank.slots.cart]\nseen = 'x'", r"^rank\.slots\.cart\.seen = 'x': should be 'keep' or 'drop'$"),
        (
            "[rank.slots.cart]\nper_brand = 0",
            r"rank\.slots\.cart\.per_brand = 0: should be greater than or equal to 1$",
        ),
        ("[rank.slots.cart]\nn = 3", r"cart\.n = 3: no such setting of a slot; it has seen, bought, current, per_"),
        ("[rank]\nseen = 'x'\n[rank.slots.cart]\nper_brand = 3", r"^rank\.seen = 'x': should be 'keep' or 'drop'$"),
        ("[rank]\nprice_min = 5\n[rank.slots.a]\nprice_max = 3", r"slots\.a\.price_max = 3: should be no less than pr"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=line) as error:
        load("shop", file)
    assert "\n" not in str(error.value)


def test_a_slot_has_what_differs_and_the_rest_of_all_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[rank]\nbought = 'keep'\n[rank.slots.cart]\ncurrent = 'keep'\nper_category = 2\n")
    monkeypatch.setenv("SHOPGUIDE_RANK_PER_BRAND", "4")
    settings = load("news", file)
    cart = settings.rank.slots["cart"]
    assert (cart.current, cart.per_category, cart.bought, cart.seen, cart.per_brand) == ("keep", 2, "keep", "drop", 4)
    assert (settings.rank.current, settings.rank.per_category, settings.rank.per_brand) == ("drop", 6, 4)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_missing_file_and_unknown_preset(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read the settings file .*No such file"):
        load("shop", tmp_path / "none.toml")
    with pytest.raises(SettingError, match=r"preset = 'zoo': allowed are shop, news, live"):
        load("zoo")


def test_a_file_may_name_its_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.toml"
    file.write_text("preset = 'news'\n[rank]\nn = 7\n")
    named = load("news", flags={"rank.n": 7})
    assert load(path=file) == named != load("shop", file) == load("shop", flags={"rank.n": 7})
    monkeypatch.setenv("SHOPGUIDE_PRESET", "live")
    assert load(path=file) == load("live", flags={"rank.n": 7}) and load("news", file) == named
    monkeypatch.delenv("SHOPGUIDE_PRESET")
    for value in ("'zoo'", "3", "['news']"):
        file.write_text(f"preset = {value}")
        with pytest.raises(SettingError, match=r"^preset = .*: allowed are shop, news, live$"):
            load(path=file)


def test_every_setting_says_what_it_means() -> None:
    for name, section in Settings.model_fields.items():
        for key, field in section.annotation.model_fields.items():  # type: ignore[union-attr]
            assert field.description, f"{name}.{key}"


def test_a_mistyped_name_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HTTP_SERVICE_HOST",
        "PUSH_PORT",
        "PUSH_PORT_7201_TCP_ADDR",
        "SECRET",
        "DATA",
        "STORM_PORT",
        "STORM_JARS",
    ):
        monkeypatch.setenv(f"SHOPGUIDE_{name}", "tcp://10.0.0.1:80")
    load()
    monkeypatch.setenv("SHOPGUIDE_RANK_AGE_HALFLIFE", "3")
    with pytest.raises(
        SettingError, match=r"SHOPGUIDE_RANK_AGE_HALFLIFE = '3': no such setting; is SHOPGUIDE_RANK_AGE_HALF_LIFE meant"
    ):
        load()
    monkeypatch.delenv("SHOPGUIDE_RANK_AGE_HALFLIFE")
    monkeypatch.setenv("SHOPGUIDE_PUSH_XYZZY", "3")
    with pytest.raises(SettingError, match=r"SHOPGUIDE_PUSH_XYZZY = '3': no such setting"):
        load()
