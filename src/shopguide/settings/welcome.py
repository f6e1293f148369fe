"""A rule of the shop's own for visitors whom nobody knows: who it is for, and what they are shown."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from shopguide.context import canonical


def _listed(given: Any) -> Any:
    """One word is a list of one."""
    return [given] if isinstance(given, str) else given


class WelcomeSettings(BaseModel):
    """What new visitors are shown, who come so: [[score.rules]]."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    device: list[Literal["phone", "tablet", "desktop"]] = Field([], description="any of these; none: whichever")
    region: list[str] = Field([], description="any of these countries, two letters each; none: whichever")
    referrer: list[Literal["direct", "search", "social", "mail", "other"]] = Field(
        [], description="any of these kinds of site that led here; none: whichever"
    )
    campaign: list[str] = Field([], description="any of these utm_campaign; none: whichever")
    hours: tuple[int, int] | None = Field(
        None, description="from an hour of the day, and before another (22, 6 is over midnight); none: always"
    )
    category: str | None = Field(None, description="what is shown: the category's most popular items")
    brand: str | None = Field(None, description="… items of the brand")
    items: list[str] = Field([], description="… and these, by their ids, first")
    weight: float = Field(1.0, gt=0, le=1, description="how much it counts, of score.welcome")
    because: str = Field(min_length=1, max_length=100, description="the reason, as visitors read it")

    _lists = field_validator("device", "region", "referrer", "campaign", "items", mode="before")(_listed)

    @field_validator("region", "campaign")
    @classmethod
    def _as_it_is_kept(cls, words: list[str], info: ValidationInfo) -> list[str]:
        found = [canonical(str(info.field_name), word) for word in words]
        if not all(found):
            what = "countries of two letters: DE" if info.field_name == "region" else "names of 1 to 64 characters"
            raise ValueError(what)
        return [word for word in found if word]

    @field_validator("hours")
    @classmethod
    def _of_a_day(cls, hours: tuple[int, int] | None) -> tuple[int, int] | None:
        if hours is not None and not (0 <= hours[0] <= 23 and 0 <= hours[1] <= 24 and hours[0] != hours[1]):
            raise ValueError("two different hours of a day: [18, 23], [22, 6]")
        return hours

    @field_validator("because")
    @classmethod
    def _says_something(cls, because: str, info: ValidationInfo) -> str:
        if not because.isprintable() or not because.strip():
            raise ValueError("words on one line")
        if not any(info.data.get(name) for name in ("category", "brand", "items")):
            raise ValueError("of a rule that names a category, a brand or items")
        return because.strip()

    def is_at(self, hour: int) -> bool:
        """Whether the rule holds in that hour of the day, 0..23."""
        if self.hours is None:
            return True
        begin, end = self.hours
        return begin <= hour < end if begin < end else hour >= begin or hour < end
