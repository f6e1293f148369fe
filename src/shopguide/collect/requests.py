"""What a request of the shop's web server says of a shopper: the rules of ``[collect]``, the first that fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from shopguide.collect.values import Cache
from shopguide.errors import SourceError
from shopguide.settings import CollectSettings, RuleSettings

LONGEST = 8192  # characters of a target: web servers take no longer ones
TARGET = re.compile(r"(?:https?://[^/?\s]*)?(/[^?\s]*)(?:\?(\S*))?")
ASSET = re.compile(r"\.(?:avif|css|eot|gif|ico|jpe?g|js|json|map|mjs|mp4|png|svg|ttf|txt|webm|webp|woff2?|xml)$", re.I)
SEEN = frozenset(("200", "304"))  # of a page that was there
DONE = frozenset(("200", "201", "202", "204", "302", "303"))  # of what was sent and done: shops often lead on then


class Meaning(NamedTuple):
    """An event, but for who and when. What is not said is empty."""

    kind: str
    item: str
    query: str
    value: str


@dataclass(frozen=True)
class Rule:
    """``find`` gives the named groups of a path without its last slash. What is in none is in the parameter named."""

    kind: str
    method: str
    find: Callable[[str], Mapping[str, str | None] | None]
    item: str | None = None
    query: str | None = None
    value: str | None = None

    @classmethod
    def of(cls, said: RuleSettings) -> Rule:
        path = re.compile(said.path)

        def find(text: str) -> Mapping[str, str | None] | None:
            found = path.fullmatch(text)
            return None if found is None else found.groupdict()

        return cls(said.kind, said.method, find, said.item, said.query, said.value)

    def meaning(self, path: str, parameters: dict[str, list[str]]) -> Meaning | None:
        """The event; None where the path does not fit, or what the kind needs is not said."""
        groups = self.find(path)
        if groups is None:
            return None

        def said(name: str, parameter: str | None) -> str:
            if name in groups:
                return unquote(groups[name] or "").strip()
            return next((text.strip() for text in parameters.get(parameter or "", ()) if text.strip()), "")

        item, query, value = said("item", self.item), said("query", self.query), said("value", self.value)
        return Meaning(self.kind, item, query, value) if (query if self.kind == "search" else item) else None


class Requests:
    """Tells what requests mean. ``rules`` are asked in order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._methods = frozenset(rule.method for rule in rules)
        self._meanings: Cache[Meaning | None] = Cache(self._work_out)

    @classmethod
    def of(cls, settings: CollectSettings) -> Requests:
        return cls([Rule.of(rule) for rule in settings.rules])

    def with_item(self, item: str) -> Requests:
        """The same where product pages have ``item``, a regular expression with one group, in their path. Raises
        SourceError where it is none."""
        try:
            pattern = re.compile(item)
        except re.error as e:
            raise SourceError(f"item={item!r} is no regular expression: {e}") from None
        if pattern.groups != 1:
            raise SourceError(f"item={item!r} should have one group, the item's id")

        def find(text: str) -> Mapping[str, str | None] | None:
            found = pattern.search(text)
            return None if found is None else {"item": found[1]}

        return Requests([Rule("view", "GET", find), *(rule for rule in self._rules if rule.kind != "view")])

    def meaning(self, method: str, target: str, status: str) -> Meaning | None:
        """The event that a request was; None: it was none, or was refused."""
        if method not in self._methods or status not in (SEEN if method == "GET" else DONE):
            return None
        return self._meanings[f"{method} {target}"]

    def _work_out(self, request: str | None) -> Meaning | None:
        method, _, target = (request or "").partition(" ")
        found = TARGET.fullmatch(target) if len(target) <= LONGEST else None
        if found is None or (method == "GET" and ASSET.search(found[1])):
            return None
        path, parameters = found[1].rstrip("/"), parse_qs(found[2] or "")
        meanings = (rule.meaning(path, parameters) for rule in self._rules if rule.method == method)
        return next((meaning for meaning in meanings if meaning is not None), None)
