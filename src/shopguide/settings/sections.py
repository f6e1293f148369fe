"""Every setting, typed, with its default and its meaning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from shopguide.context import Clock
from shopguide.settings.welcome import WelcomeSettings

ORIGIN = re.compile(r"https?://[^/?#@\s]+", re.I)
WRITE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _words(given: Any) -> Any:
    """The environment has no lists: there it is words with commas between."""
    return [word.strip() for word in given.split(",") if word.strip()] if isinstance(given, str) else given


def _fields(names: str, what: str) -> Any:
    return Field(
        names.split(), description=f"fields of a JSON access log that may have {what}: the first that is there"
    )


class LogSettings(Section):
    partitions: int = Field(
        1,
        ge=1,
        le=1024,
        description="partitions of a new log, which keeps them; more than one is for tasks side by side on a cluster",
    )
    segment_bytes: int = Field(64 << 20, ge=1 << 12, description="size at which a new segment file is begun")
    batch: int = Field(1024, ge=1, le=65536, description="most events that one tuple carries")
    pending: int = Field(16, ge=1, description="most batches under way at once (topology.max.spout.pending)")


class StateSettings(Section):
    every: float = Field(30.0, gt=0, description="seconds between snapshots while events come")
    keep: int = Field(3, ge=1, le=100, description="newest snapshots that are kept, in case one is broken")


class RuleSettings(Section):
    """What a request in an access log means."""

    kind: Literal["view", "search", "cart", "purchase", "favourite", "remove"] = Field(description="kind of the event")
    path: str = Field(
        description="regular expression of the whole path; its groups (?P<item>…), query and value are the event's"
    )
    method: str = Field("GET", pattern="^[A-Z]+$", description="the request's method")
    item: str | None = Field(None, description="parameter of the address that names the item")
    query: str | None = Field(None, description="parameter that has the words of a search")
    value: str | None = Field(None, description="parameter that has the money of the event")

    @field_validator("path")
    @classmethod
    def _a_pattern(cls, path: str) -> str:
        try:
            groups = set(re.compile(path).groupindex)
        except re.error as e:
            raise ValueError(f"a regular expression: {e}") from None
        if groups - {"item", "query", "value"}:
            raise ValueError("without other named groups than item, query and value")
        return path

    @field_validator("item", "query")
    @classmethod
    def _said_somewhere(cls, parameter: str | None, info: ValidationInfo) -> str | None:
        needed = "query" if info.data.get("kind") == "search" else "item"
        path = info.data.get("path")
        if info.field_name == needed and parameter is None and path is not None and f"(?P<{needed}>" not in path:
            raise ValueError(f"a parameter's name, where path has no group (?P<{needed}>…)")
        return parameter


RULES = [
    RuleSettings(kind="view", path=".*/(?:product|item|p)/(?:.*/)?(?P<item>[^/]+)"),  # type: ignore[call-arg]
    RuleSettings(kind="search", path=".*/search", query="q"),  # type: ignore[call-arg]
    RuleSettings(kind="search", path=".*/search", query="query"),  # type: ignore[call-arg]
]


class CollectSettings(Section):
    rules: list[RuleSettings] = Field(
        RULES, description="what requests in access logs mean, the first that fits: [[collect.rules]]; else nothing"
    )
    json_host: list[str] = _fields("remote_addr request.client_ip request.remote_ip ClientHost", "the client's address")
    json_user: list[str] = _fields("remote_user user_id ClientUsername", "the customer, where the server knows them")
    json_time: list[str] = _fields("msec time_iso8601 time_local ts StartUTC time timestamp", "the time")
    json_method: list[str] = _fields("request_method request.method RequestMethod method", "the request's method")
    json_target: list[str] = _fields("request_uri request.uri RequestPath uri", "its path and parameters")
    json_request: list[str] = _fields("request", "both, as in GET /p/1 HTTP/1.1")
    json_status: list[str] = _fields("status DownstreamStatus", "the answer's status")
    json_agent: list[str] = _fields("http_user_agent request.headers.User-Agent request_User-Agent", "the user agent")

    _lists = field_validator("*", mode="before")(_words)


class LearnSettings(Section):
    unit: Literal["session", "user"] = Field("session", description="what makes two items belong together")
    history: int = Field(50, ge=1, le=1000, description="distinct items of a unit that a new one pairs with")
    half_life: float | None = Field(None, gt=0, description="seconds in which a pair's weight halves; none: no decay")
    row_cap: int | None = Field(None, ge=1024, description="most pairs that an item keeps; none: all, and exact lists")
    retention: float | None = Field(
        None, gt=0, description="seconds of event time that an event counts; none: for ever"
    )
    retention_events: int | None = Field(
        None, ge=1024, description="newest rows of the log that count, evenly over its partitions; none: all"
    )
    users: bool = Field(False, description="also find users alike, where units are sessions and users come back")
    session_gap: float = Field(1800, gt=0, description="seconds without an event that end a session")
    trend_half_life: float = Field(86400, gt=0, description="seconds in which popularity halves")
    time_zone: str = Field("UTC", description="the shop's, as in Europe/Berlin: what is night and day to its visitors")

    @property
    def forgets(self) -> bool:
        """Whether anything is beyond retention."""
        return self.retention is not None or self.retention_events is not None

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, zone: str) -> str:
        try:
            Clock(zone)
        except (ValueError, KeyError, OSError):
            raise ValueError("a name of the tz database, as Europe/Berlin, or UTC") from None
        return zone


class ScoreSettings(Section):
    model_config = ConfigDict(allow_inf_nan=False)

    recent: int = Field(10, ge=1, le=64, description="the user's newest distinct items that make candidates")
    neighbours: int = Field(50, ge=1, le=200, description="similar items taken for each of them")
    decay: float = Field(0.6, gt=0, le=1, description="weight of each next older item")
    weights: Path | None = Field(
        None, description="file of trained weights (`shopguide train`); none: those that follow"
    )
    items: float = Field(0.1, description="weight of item-based collaborative filtering, by cosine")
    rule: float = Field(0.15, description="weight of the same, by how many of those who chose one chose the other")
    second: float = Field(0.1, description="weight of the neighbours of their neighbours")
    next: float = Field(0.25, description="weight of what follows the newest item")
    hops: float = Field(0.15, description="weight of two hops over what follows what")
    sessions: float = Field(0.0, description="weight of what the sessions most like this one hold")
    beside: float = Field(0.4, description="weight of what stands near the shared item in them")
    users: float = Field(0.1, description="weight of what the users most like this one chose, where learn.users is on")
    current: float = Field(0.2, description="weight of the newest item of the visit")
    previous: float = Field(0.1, description="weight of the item before it")
    steps: float = Field(1.3, description="weight of the visit's items, the k-th newest counting 1 / k")
    repeats: float = Field(0.1, description="weight of coming back to an item")
    popular: float = Field(0.01, description="weight of what is popular now")
    content: float = Field(0.3, description="weight of what resembles the newest items, by what the catalogue says")
    rnn: float = Field(0.2, description="weight of the recurrent network, where `shopguide train` made one")
    cnn: float = Field(0.1, description="weight of the convolutional network, where `shopguide train` made one")
    segment: float = Field(0.01, description="weight of what is popular with visitors like a new one")
    welcome: float = Field(1.0, description="weight of what score.rules say to a new visitor")
    profile_half_life: float = Field(
        30 * 86400, ge=86400, description="seconds in which what a user did halves in trained profiles"
    )
    profile: float = Field(0.05, description="weight of what fits a user's profile, where `shopguide train` made some")
    title: float = Field(0.2, description="weight of the network over titles, where `shopguide train` made one")
    search: float = Field(0.5, description="weight of what the words of the visit's last search match")

    rules: list[WelcomeSettings] = Field(
        [], description="what new visitors are shown, by how they come: [[score.rules]]; all that fit count"
    )

    @field_validator("weights")
    @classmethod
    def _wherever_it_is_read(cls, weights: Path | None) -> Path | None:
        """The state directory keeps the settings, for commands that are called elsewhere."""
        return weights and weights.resolve()


class PolicySettings(Section):
    """What a list may hold; a slot may have its own."""

    seen: Literal["keep", "drop"] = Field("keep", description="items the user has looked at already")
    bought: Literal["keep", "drop"] = Field("drop", description="items the user has bought already")
    current: Literal["keep", "drop"] = Field("drop", description="the item on the user's screen now")
    per_category: int | None = Field(None, ge=1, description="most items of one category in a list; none: no limit")
    per_brand: int | None = Field(None, ge=1, description="most items of one brand in a list; none: no limit")
    fatigue: int | None = Field(
        None, ge=1, description="looks at one category in a row, each from this one on halving its places; none: never"
    )
    age_half_life: float | None = Field(
        None, gt=0, description="seconds of age, by the catalogue's first word, that halve an item's score; none: never"
    )
    explore: float = Field(
        0.0, ge=0, le=0.5, description="share of a list's places that new items are tried in; 0: none"
    )
    explore_age: float = Field(
        7 * 86400, gt=0, description="seconds after the catalogue's first word on an item in which it is new"
    )
    price_min: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="lowest price in a list; items without one pass; none: no limit"
    )
    price_max: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="highest price in a list; items without one pass; none: no limit"
    )

    @field_validator("price_max")
    @classmethod
    def _a_range(cls, price_max: float | None, info: ValidationInfo) -> float | None:
        price_min = info.data.get("price_min")
        if price_max is not None and price_min is not None and price_max < price_min:
            raise ValueError(f"no less than price_min = {price_min:g}")
        return price_max


class RankSettings(PolicySettings):
    n: int = Field(20, ge=1, le=100, description="items in a list")
    min_shoppers: int = Field(3, ge=1, description="fewest distinct shoppers behind a pair that a reason may name")
    policy: Literal["on", "off"] = Field(
        "on", description="off: candidates in the order of their scores, nothing hidden, capped or picked; to evaluate"
    )
    slots: dict[str, PolicySettings] = Field(
        {}, description="by a slot's name, what differs in its lists: [rank.slots.cart] per_category = 2"
    )

    @field_validator("slots", mode="before")
    @classmethod
    def _whole(cls, slots: Any, info: ValidationInfo) -> Any:
        """Each slot with what it does not name as it is in all lists. Needs the other fields: ``slots`` is the last."""
        if not isinstance(slots, dict):
            return slots
        general = {key: info.data[key] for key in PolicySettings.model_fields if key in info.data}
        return {name: {**general, **slot} if isinstance(slot, dict) else slot for name, slot in slots.items()}


class PushSettings(Section):
    endpoint: str = Field(
        "tcp://127.0.0.1:7201", description="where subscribers connect; gaps are asked one port above"
    )
    curve: bool = Field(False, description="encrypt with CURVE; only then may the endpoint be open to other hosts")
    clients: str | None = Field(
        None, description="file of clients' public CURVE keys, one a line: only they may connect; none: all may"
    )
    heartbeat: float = Field(5.0, gt=0, le=60, description="seconds between heartbeats to each live token")
    high_water_mark: int = Field(16, ge=1, description="messages kept for a slow client before newer ones are dropped")
    everybody: bool = Field(False, description="a topic's lists are of all who do something; else of who watches")
    token_ttl: float = Field(3600, gt=0, le=400 * 86400, description="seconds that a token minted here lives")


class HttpSettings(Section):
    host: str = Field("127.0.0.1", description="address of the collector and the page")
    port: int = Field(8080, ge=0, le=65535, description="port of the collector and the page; 0: any free one")
    max_body: int = Field(1 << 20, ge=1024, description="largest request body in bytes, packed or not")
    origins: list[str] = Field(
        [], description="sites whose pages may call from a browser (https://shop.example); *: all; none: only our own"
    )
    write_keys: list[str] = Field(
        [], description="public keys of sites: new visitors and pixels need one; none: everybody may come"
    )
    visitor_ttl: float = Field(
        30 * 86400,
        gt=0,
        le=400 * 86400,
        description="seconds that an anonymous visitor's token lives: how long a browser is known",
    )
    key_rate: float | None = Field(
        None, gt=0, description="events a second from browsers with one write key, ten seconds' at once; none: no limit"
    )
    address_rate: float | None = Field(
        None, gt=0, description="events a second from browsers at one address, ten seconds' at once; none: no limit"
    )
    max_age: float = Field(86400, ge=0, description="seconds that a browser may say it has held an event back")
    max_behind: int = Field(1_000_000, ge=1, description="rows that may wait in the log before events are put off")
    min_free: int = Field(64 << 20, ge=0, description="free bytes on the log's disk below which events are put off")
    metrics: Literal["local", "all", "off"] = Field(
        "local", description="who may read /metrics: who asks from this machine and through no proxy, all, or nobody"
    )
    shop: Literal["local", "direct", "all"] = Field(
        "direct", description="who is the shop without a token: this machine, who comes through no proxy, or all"
    )
    bots: Literal["refuse", "keep"] = Field("refuse", description="events from browsers that say they are programs")

    _lists = field_validator("origins", "write_keys", mode="before")(_words)

    @field_validator("origins")
    @classmethod
    def _without_a_path(cls, origins: list[str]) -> list[str]:
        if not all(origin == "*" or ORIGIN.fullmatch(origin) for origin in origins):
            raise ValueError("*, or scheme and host as browsers send them: https://shop.example, http://127.0.0.1:8000")
        return [origin.lower() for origin in origins]

    @field_validator("write_keys")
    @classmethod
    def _fit_for_an_address(cls, keys: list[str]) -> list[str]:
        if not all(WRITE_KEY.fullmatch(key) for key in keys):
            raise ValueError("keys of 1 to 64 of a-z, A-Z, 0-9, _ and -")
        return keys


class RunSettings(Section):
    logs: Literal["text", "json"] = Field("text", description="how the process tells of itself on stderr")
    level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="from which level on; debug names the events of each batch, by their places in the log"
    )


class StormSettings(Section):
    host: str = Field("127.0.0.1", description="address at which a topology's tasks reach the process on the state")


class Settings(Section):
    """All settings; sections are the stages they belong to."""

    log: LogSettings = LogSettings()  # type: ignore[call-arg]
    state: StateSettings = StateSettings()  # type: ignore[call-arg]
    collect: CollectSettings = CollectSettings()  # type: ignore[call-arg]
    learn: LearnSettings = LearnSettings()  # type: ignore[call-arg]
    score: ScoreSettings = ScoreSettings()  # type: ignore[call-arg]
    rank: RankSettings = RankSettings()  # type: ignore[call-arg]
    push: PushSettings = PushSettings()  # type: ignore[call-arg]
    http: HttpSettings = HttpSettings()  # type: ignore[call-arg]
    run: RunSettings = RunSettings()  # type: ignore[call-arg]
    storm: StormSettings = StormSettings()  # type: ignore[call-arg]
