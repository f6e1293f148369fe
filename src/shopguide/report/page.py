"""What a folder holds of a training run and of evaluations, as a page of HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from shopguide.artefacts import Artefact
from shopguide.errors import SettingError
from shopguide.report import figures

NUMBERS = {  # what is said of a model, in words
    "hr": "HR",
    "mrr": "MRR",
    "auc": "AUC",
    "log_loss": "log-loss",
    "log_loss_of_rate": "log-loss of saying the rate",
    "calibration_error": "calibration error",
    "epochs": "epochs",
    "questions": "questions",
    "judged": "judged on, the newest of them",
    "k": "length of a list",
    "items": "items",
    "users": "users",
    "visits": "visits",
    "rows": "beginnings of visits",
    "rate": "share that buys",
    "seconds": "seconds",
}


SAID = {"dataset", "protocol", "mode", "k", "results"}  # of an evaluation, at least


class Picture(NamedTuple):
    """``drawn``: an element of the page; ``says``: in words, what it shows."""

    drawn: Markup
    says: str


class Part(NamedTuple):
    """A model or a data set: what there is to say of it, to draw, and to list."""

    name: str
    numbers: dict[str, str]
    pictures: list[Picture]
    table: list[list[str]]


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """The runs in files of `shopguide evaluate --json`, the oldest file first. Raises SettingError for a file that has
    runs of another form."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
        try:
            said = json.loads(path.read_bytes())
        except ValueError:
            continue
        if isinstance(said, dict) and "runs" in said:
            if not isinstance(said["runs"], list) or not all(map(_is_run, said["runs"])):
                raise SettingError(f"{path}: its runs are none of `shopguide evaluate --json`")
            found += said["runs"]
    return found


def page(artefact: Artefact | None, runs: Sequence[Mapping[str, Any]]) -> str:
    """A page of a version's training, if any, and of evaluations. Raises SettingError without Matplotlib."""
    template = resources.files("shopguide.report").joinpath("page.html").read_text()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    models = [_model(name, said) for name, said in artefact.models.items()] if artefact else []
    return environment.from_string(template).render(
        training=_training(artefact) if artefact else None, models=models, evaluations=[_evaluated(run) for run in runs]
    )


def _training(artefact: Artefact) -> Part:
    run = artefact.run
    made = datetime.fromtimestamp(artefact.made, UTC)
    numbers = {
        "version": artefact.version,
        "made": f"{made:%Y-%m-%d %H:%M} UTC",
        "data": str(run.get("on", "")),
        "events": _told(run.get("events", 0)),
        "from": str(run.get("first", ""))[:16].replace("T", " "),
        "to": str(run.get("last", ""))[:16].replace("T", " "),
        "seconds": _told(run.get("seconds", 0)),
        "memory at most": f"{_told(run.get('memory_mb', 0))} MB",
    }
    numbers |= {f"left out: {model}": str(why) for model, why in run.get("left_out", {}).items()}
    if artefact.holds_forgotten:
        numbers["note"] = "it has read somebody who is forgotten since; the next training replaces it"
    pictures = []
    if run.get("spent"):
        pictures.append(_picture(figures.bars(run["spent"], "seconds"), "Where the time went."))
    return Part("Training", numbers, pictures, [])


def _model(name: str, said: Mapping[str, Any]) -> Part:
    numbers = {words: _told(said[key]) for key, words in NUMBERS.items() if said.get(key) is not None}
    pictures = []
    if said.get("history"):
        drawn = figures.epochs(said["history"], said["k"], said["epochs"])
        pictures.append(
            _picture(drawn, "On visits that were held out, epoch by epoch; the one that is served stands out.")
        )
    if said.get("linear"):
        weights = {signal: weight for signal, weight in said["linear"].items() if weight}
        pictures.append(_picture(figures.bars(weights, "weight"), "How much each signal counts in a list."))
    if said.get("reliability"):
        drawn = figures.reliability(said["reliability"])
        pictures.append(_picture(drawn, "Of visits that were held out: on the line, it is what it says."))
    return Part(name, numbers, pictures, [])


def _evaluated(run: Mapping[str, Any]) -> Part:
    k, results = run["k"], run["results"]
    head = ["", f"HR@{k}", "95 %", f"MRR@{k}", "95 %", f"NDCG@{k}", "coverage", "µs p50", "p99"]
    rows = []
    for found in results:
        interval = {name: f"{low:.4f}–{high:.4f}" for name, (low, high) in found["ci95"].items()}
        spent = found["us_per_recommendation"]
        quality = [f"{found['hr']:.4f}", interval["hr"], f"{found['mrr']:.4f}", interval["mrr"], f"{found['ndcg']:.4f}"]
        cost = [f"{spent['p50']:,.0f}", f"{spent['p99']:,.0f}"]
        rows.append([figures.label(found), *quality, f"{found['coverage']:.2f}", *cost])
    numbers = {"protocol": f"{run['protocol']}, {run['mode']}", "questions": _told(results[0]["n"])}
    for name, rate in run.get("rates", {}).items():
        low, high = rate["ci95"]
        numbers[name.upper()] = f"{rate['rate']:.4f} ({low:.4f}–{high:.4f})"
    for pair in run.get("comparisons", ()):
        numbers[f"{pair['one']} less {pair['other']}"] = ", ".join(_change(m, pair[m.lower()]) for m in ("HR", "MRR"))
    drawn = _picture(figures.hit_rates([run]), f"Hit rates of lists of {k}, with 95 % intervals.")
    return Part(str(run["dataset"]), numbers, [drawn], [head, *rows])


def _is_run(run: Any) -> bool:
    return isinstance(run, dict) and run.keys() >= SAID and bool(run["results"])


def _change(measure: str, found: Mapping[str, Any]) -> str:
    low, high = found["ci95"]
    return f"{measure} {found['difference']:+.4f} ({low:+.4f} … {high:+.4f})"


def _picture(figure: Any, says: str) -> Picture:
    return Picture(Markup(figures.svg(figure)), says)  # Matplotlib escapes the words in it


def _told(value: Any) -> str:
    return f"{value:,.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value:,}"
