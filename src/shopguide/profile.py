"""What others know of a shopper: attributes, and words for what they like. Imported, and in the log as PROFILE rows.

Rows are merged in the order of the log: the newest value of each attribute holds, and the newest interests. A row that
lies *beneath*, of a visitor who became this user, fills in what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ATTRIBUTES = 64  # of a profile; beyond, those that were said longest ago leave
INTERESTS = 32
LONGEST = 100  # characters of a name, a value, an interest


@dataclass(frozen=True)
class Profile:
    attributes: dict[str, str] = field(default_factory=dict)
    interests: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.attributes or self.interests)

    def told(self, said: Mapping[str, Any]) -> Profile:
        """The profile after a row's data."""
        given, interests = said.get("attributes", {}), tuple(said.get("interests", ()))
        if said.get("beneath"):
            attributes = {**_without(given, self.attributes), **self.attributes}
            return Profile(_newest(attributes), self.interests or interests)
        return Profile(_newest({**_without(self.attributes, given), **given}), interests or self.interests)

    def said(self) -> dict[str, Any]:
        """As a row says it."""
        return {"attributes": self.attributes, "interests": list(self.interests)}


NOTHING = Profile()


def are_attributes(value: Any) -> bool:
    """Whether a row may say these."""
    return isinstance(value, dict) and len(value) <= ATTRIBUTES and all(map(_is_short, (*value, *value.values())))


def are_interests(value: Any) -> bool:
    """Whether a row may say these."""
    return isinstance(value, list) and len(value) <= INTERESTS and all(map(_is_short, value))


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable()


def _without(attributes: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name not in others}


def _newest(attributes: dict[str, str]) -> dict[str, str]:
    return dict(list(attributes.items())[-ATTRIBUTES:])
