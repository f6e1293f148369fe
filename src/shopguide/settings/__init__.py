"""Every setting (``sections``), and how they come together: TOML over the preset, the environment over TOML, flags over
all (``loading``)."""

from shopguide.settings.loading import ENVIRONMENT, PRESETS, load, of_another_run
from shopguide.settings.sections import (
    RULES,
    CollectSettings,
    HttpSettings,
    LearnSettings,
    LogSettings,
    PolicySettings,
    PushSettings,
    RankSettings,
    RuleSettings,
    RunSettings,
    ScoreSettings,
    Settings,
    StateSettings,
)
from shopguide.settings.welcome import WelcomeSettings

__all__ = [
    "ENVIRONMENT",
    "PRESETS",
    "RULES",
    "CollectSettings",
    "HttpSettings",
    "LearnSettings",
    "LogSettings",
    "PolicySettings",
    "PushSettings",
    "RankSettings",
    "RuleSettings",
    "RunSettings",
    "ScoreSettings",
    "Settings",
    "StateSettings",
    "WelcomeSettings",
    "load",
    "of_another_run",
]
