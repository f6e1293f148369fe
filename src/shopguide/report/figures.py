"""Pictures of what was trained and measured, drawn by Matplotlib (extra ``plot``)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shopguide.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, ACCENT, WARM = "#5c625b", "#0e6b52", "#b8481f"  # in a page, those of its theme
IN_PAGE = {INK: "currentColor", ACCENT: "var(--accent)", WARM: "var(--warm)"}
WIDTH = 7.0  # inches
ROW = 0.3  # inches, of a bar or a point


def hit_rates(runs: Sequence[Mapping[str, Any]]) -> Figure:
    """Hit rates with their intervals of `shopguide evaluate --json`'s runs, a panel a data set."""
    figure = _figure(1 + 4 * len(runs), 1.2 + 0.34 * max(len(run["results"]) for run in runs))
    for panel, run in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs, strict=True):
        results = run["results"]
        value = np.array([r["hr"] for r in results])
        bounds = np.array([r["ci95"]["hr"] for r in results])
        panel.errorbar(
            value, range(len(results)), np.zeros(len(value)), np.abs(bounds.T - value), "o", color=ACCENT, capsize=3
        )
        panel.set_yticks(range(len(results)), [label(r) for r in results])
        panel.invert_yaxis()
        panel.margins(y=0.15)
        panel.set_title(f"{run['dataset']}\n{run['mode']}", fontsize=10)
        _dressed(panel, f"HR@{run['k']}, 95 % interval")
    return figure


def label(arm: Mapping[str, Any]) -> str:
    """A recommender in a word or two."""
    learner = f" {arm['learner']}" if arm["learner"] else ""
    return str(arm["recommender"]) + learner + (f", {arm['freshness']}" if arm["freshness"] != "each event" else "")


def epochs(history: Sequence[Sequence[float]], k: int, best: int) -> Figure:
    """HR and MRR at k of the held-out visits after each epoch; the ``best`` is the one that is served."""
    figure = _figure(WIDTH, 2.4)
    at = np.arange(1, len(history) + 1)
    for panel, values, name in zip(figure.subplots(1, 2), np.array(history).T, ("HR", "MRR"), strict=True):
        panel.plot(at, values, "o-", color=ACCENT, markersize=4)
        panel.plot(best, values[best - 1], "o", color=WARM, markersize=7)
        panel.set_title(f"{name}@{k}", fontsize=10)
        panel.set_xticks(at)
        _dressed(panel, "epoch")
    return figure


def bars(values: Mapping[str, float], what: str) -> Figure:
    """Named values, the largest first."""
    named = sorted(values.items(), key=lambda one: one[1], reverse=True)
    figure = _figure(WIDTH, 0.7 + ROW * len(named))
    panel = figure.subplots()
    panel.barh(range(len(named)), [value for _, value in named], color=ACCENT, height=0.6)
    panel.set_yticks(range(len(named)), [name for name, _ in named])
    panel.invert_yaxis()
    _dressed(panel, what)
    return figure


def reliability(bins: Sequence[Sequence[float]]) -> Figure:
    """What was said against what came true; each of the ``bins`` is (rows, said, true)."""
    figure = _figure(WIDTH / 2, WIDTH / 2)
    panel = figure.subplots()
    _, said, true = np.array(bins).T
    most = 1.1 * max(said.max(), true.max(), 1e-9)
    panel.plot([0, most], [0, most], "--", color=INK, linewidth=1)
    panel.plot(said, true, "o-", color=ACCENT, markersize=4)
    panel.set_ylabel("share that bought", color=INK)
    _dressed(panel, "probability that was said")
    return figure


def svg(figure: Figure) -> str:
    """The figure as an element of a page, in the colours of the page."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    drawn = file.getvalue()
    for colour, themed in IN_PAGE.items():
        drawn = drawn.replace(colour, themed)
    return drawn[drawn.index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """As a picture file, of the kind that its name says. Raises SettingError where it cannot be written."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as e:
        raise SettingError(f"{str(path)!r}: the picture cannot be written: {e}") from None


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib import rcParams  # noqa: PLC0415  an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise SettingError("pictures need Matplotlib: pip install 'shopguide[plot]'") from None
    rcParams["svg.fonttype"], rcParams["svg.hashsalt"] = "none", "shopguide"
    rcParams["text.color"] = INK
    return Figure(figsize=(width, height), layout="constrained")


def _dressed(panel: Axes, below: str) -> None:
    panel.set_xlabel(below, color=INK)
    panel.grid(axis="x", alpha=0.3)
    panel.tick_params(colors=INK)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["bottom", "left"]].set_color(INK)
