"""Settings from where they are said: TOML over the preset, the environment over TOML, flags over all."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from shopguide.errors import SettingError
from shopguide.settings.sections import PolicySettings, RuleSettings, Settings
from shopguide.settings.welcome import WelcomeSettings

PRESETS = ("shop", "news", "live")
ENVIRONMENT = "SHOPGUIDE_"
SECTION = re.compile(f"{ENVIRONMENT}({'|'.join(Settings.model_fields)})_".upper())
OTHERS = re.compile(
    r"_STORM_JARS?$|_(SERVICE_(HOST|PORT)|PORT$|PORT_\d)"
)  # deploy/'s, and what Kubernetes says of services
WITHIN: dict[tuple[str, ...], tuple[str, type[BaseModel]]] = {  # tables in sections: what one is called, and has
    ("rank", "slots"): ("a slot", PolicySettings),
    ("collect", "rules"): ("a rule", RuleSettings),
    ("score", "rules"): ("a rule", WelcomeSettings),
}


def load(preset: str | None = None, path: Path | None = None, flags: dict[str, Any] | None = None) -> Settings:
    """The settings in force.

    ``preset`` None is that of SHOPGUIDE_PRESET, or the file's ``preset``, or the shop's. ``flags`` are dotted keys
    (``"push.endpoint"``); a None value is one not given. The environment's are ``SHOPGUIDE_<SECTION>_<KEY>``. Raises
    SettingError naming the key, the value and what is allowed.
    """
    file = _read_toml(path) if path is not None else {}
    own = file.pop("preset", "shop")
    preset = preset or os.environ.get(f"{ENVIRONMENT}PRESET") or own
    if preset not in PRESETS:
        raise SettingError(f"preset = {preset!r}: allowed are {', '.join(PRESETS)}")
    merged = tomllib.loads(files("shopguide.presets").joinpath(f"{preset}.toml").read_text())
    _merge(merged, file)
    for section, key, value in _said_by_the_environment():
        merged.setdefault(section, {})[key] = value
    for dotted, value in (flags or {}).items():
        if value is not None:
            section_name, key = dotted.split(".")
            merged.setdefault(section_name, {})[key] = value
    try:
        return Settings.model_validate(merged)
    except ValidationError as e:
        raise SettingError("; ".join(_line(error) for error in e.errors())) from None


def of_another_run(data: bytes) -> tuple[Settings, list[str]]:
    """The settings that a run wrote down as JSON, and what of them this version has not: another one wrote them.

    Raises SettingError naming the key and what is allowed.
    """
    unknown: list[str] = []
    try:
        said = json.loads(data)
        while True:
            try:
                return Settings.model_validate_json(json.dumps(said)), unknown
            except ValidationError as e:
                extra = [error["loc"] for error in e.errors() if error["type"] == "extra_forbidden"]
                if not extra:
                    raise SettingError("; ".join(_line(error) for error in e.errors())) from None
                for *within, last in extra:
                    del reduce(lambda part, key: part[key], within, said)[last]
                unknown += [".".join(map(str, loc)) for loc in extra]
    except (ValueError, LookupError, TypeError):
        raise SettingError("it is damaged") from None


def _said_by_the_environment() -> Iterator[tuple[str, str, str]]:
    """(section, key, value). Raises SettingError for a name that is no setting's, though its section is one."""
    sections = {name: field.annotation.model_fields for name, field in Settings.model_fields.items()}  # type: ignore[union-attr]
    known = {f"{ENVIRONMENT}{name}_{key}".upper(): (name, key) for name, keys in sections.items() for key in keys}
    for name, value in os.environ.items():
        if name in known:
            yield *known[name], value
        elif SECTION.match(name) and not OTHERS.search(name):
            near = get_close_matches(name, known, 1)
            hint = f"; is {near[0]} meant?" if near else "; `shopguide config show` lists all"
            raise SettingError(f"{name} = {value!r}: no such setting{hint}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as e:
        raise SettingError(f"cannot read the settings file {path}: {e.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as e:
        raise SettingError(f"{path} is no TOML: {e}") from None


def _merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _line(error: Any) -> str:
    """One validation error as "key = value: what is allowed"."""
    key = ".".join(str(part) for part in error["loc"])
    said = f"{key} = {error['input']!r}"
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "extra_forbidden" and error["loc"][:2] in WITHIN:
        one, model = WITHIN[error["loc"][:2]]
        return f"{said}: no such setting of {one}; it has {', '.join(model.model_fields)}"
    if error["type"] == "extra_forbidden":
        return f"{said}: no such setting; `shopguide config show` lists all"
    if error["type"] in ("dict_type", "model_type"):
        return f"{said}: should be a table"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{said}: should be {message}"
