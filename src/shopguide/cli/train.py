"""``shopguide train | activate``: models learned from history, into a version that lists are made with from then on."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from shopguide.artefacts import OFF, Artefact, Artefacts
from shopguide.batch.profiles import profiles as profiles_of
from shopguide.cli.at_rest import AtRest
from shopguide.cli.control import ask
from shopguide.cli.history import open_history, topic_option
from shopguide.cli.options import examples, json_option, settings_options, state_option
from shopguide.cli.sources import progress
from shopguide.cli.takeback import done
from shopguide.errors import SettingError, StateError
from shopguide.evaluate.data import Dataset, events_of, is_shoppers, open_dataset
from shopguide.evaluate.models import MODELS, Trained
from shopguide.evaluate.models import train as train_models
from shopguide.evaluate.report import left_out
from shopguide.kafka.binding import bound
from shopguide.log import History
from shopguide.settings import Settings, load
from shopguide.state import StateDir


@click.command(
    epilog=examples(
        "shopguide train --state DIR --model all        (from its log; lists are made with it from now on)",
        "shopguide train events.csv --state DIR        (from files, for the lists of DIR)",
        "shopguide train events.csv --model blend --blend trees --out models",
        "shopguide activate --state DIR        (which versions there are; and the way back: activate VERSION)",
    )
)
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--state", "state_path", type=click.Path(path_type=Path, file_okay=False), help="State directory.")
@click.option("--model", type=click.Choice((*MODELS, "all")), default="blend", show_default=True, help="What to train.")
@click.option("--blend", "learner", type=click.Choice(("linear", "trees")), default="linear", show_default=True)
@click.option("--format", "format_", help="Of the files; none: found out.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of versions; none: DIR/models or models."
)
@click.option("--activate/--no-activate", "activates", default=True, help="With --state: put it in force.")
@topic_option
@settings_options
@json_option
def train(
    path: Path | None,
    state_path: Path | None,
    model: str,
    learner: str,
    format_: str | None,
    out: Path | None,
    activates: bool,
    source: str | None,
    preset: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Learn how much each signal counts, and networks, from history: PATH, or the log of --state. The blend learns from
    its newest sessions, and is judged on the newest of them by weights of those before.

    Interrupted, it has changed nothing, and begun again it goes on after the last whole epoch.
    """
    if path is None and state_path is None:
        raise SettingError("give PATH or --state: what to learn from")
    put_in_force = state_path is not None and activates and out is None
    log = None if state_path is None or path is not None else open_history(state_path, source)
    if state_path is not None and put_in_force and bound(state_path) and not StateDir(state_path).in_use():
        raise StateError(f"{state_path}: no process runs on it that could put the models in force; or --no-activate")
    artefacts = Artefacts(out or (StateDir(state_path).models if state_path else Path("models")))
    began = artefacts.begin()
    with closing(log) if log else nullcontext(), progress() as bar:
        task = bar.add_task("reading", total=None, rows=0)
        kept = _kept(state_path)
        collect, told = (kept or load(preset, config_path)).collect, lambda rows: bar.update(task, rows=rows)
        if log is not None:
            found = _read(log, str(state_path), told)
        else:
            found = open_dataset(path or Path(), format_, told=told, collect=collect).without_test()
        settings = kept or found.settings(preset, config_path)
        models = MODELS if model == "all" else (model,)
        profiles = partial(profiles_of, log, settings) if log else None
        trained = train_models(
            found,
            settings,
            models,
            learner,
            lambda stage: bar.update(task, description=stage),
            artefacts.folder,
            profiles,
        )
        read = {partition: log.end(partition) for partition in range(log.partitions)} if log else {}  # at most
    made = artefacts.write(trained.files, trained.models, read, trained.run)
    if artefacts.forgotten_since(began):
        made.mark()
    if state_path and put_in_force:
        in_force = done(state_path, "activate", new=True, version=made.version, models=list(made.models))
        artefacts.drop_forgotten(set(in_force.values()))
    _say(made, trained, put_in_force, as_json)


def _share(context: click.Context, parameter: click.Parameter, given: str | None) -> float | None:
    """Of 20% or 0.2."""
    if given is None:
        return None
    with suppress(ValueError):
        share = float(given.removesuffix("%")) / (100 if given.endswith("%") else 1)
        if 0 < share < 1:
            return share
    raise click.BadParameter(f"{given!r}: should be a share between 0 and 1, like 20% or 0.2")


@click.command(
    epilog=examples(
        "shopguide activate --state DIR        (which versions there are, and what is in force)",
        "shopguide activate 9f2c64c0f1d2a7b3 --state DIR",
        "shopguide activate off --model rnn --state DIR",
        "shopguide activate 9f2c64c0f1d2a7b3 --share 20% --state DIR        (its blend on trial: `shopguide trial`)",
    )
)
@click.argument("version", required=False)
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), help="Only this of it (repeatable).")
@click.option("--share", callback=_share, help="Its blend for this share of the users, 20% or 0.2: a trial.")
@state_option
@json_option
def activate(
    version: str | None, models: tuple[str, ...], share: float | None, state_path: Path, as_json: bool
) -> None:
    """Put a version of trained models in force, an older one again, or none (off): for all users or a share."""
    if version is not None:
        in_force = done(state_path, "activate", version=version, models=list(models), share=share)
        click.echo(json.dumps(in_force) if as_json else "in force: " + (_in_words(in_force) or "nothing"))
        return
    state, found = StateDir(state_path), Artefacts(StateDir(state_path).models).all()
    now = ask(state_path, "in_force") if state.in_use() else AtRest(state_path).scorer.trained.in_force.said()
    if as_json:
        said = ("version", "made", "holds_forgotten")
        versions = [{name: getattr(one, name) for name in said} | {"models": sorted(one.models)} for one in found]
        click.echo(json.dumps({"versions": versions, **now}))
        return
    for one in found:
        at = datetime.fromtimestamp(one.made, UTC).isoformat(timespec="seconds")
        listed = [model + " (in force)" * (now["in_force"].get(model) == one.version) for model in sorted(one.models)]
        if now["trial"] and now["trial"]["version"] == one.version:
            listed.append(f"on trial for {now['trial']['share']:.4g} of the users")
        click.echo(f"{one.version}  {at}  {', '.join(listed)}")
    if not found:
        click.echo("no models yet: `shopguide train --state DIR` makes some")


def _kept(state: Path | None) -> Settings | None:
    """The settings of a directory that something was run on, which go before those that are given."""
    return StateDir(state).settings() if state is not None and (state / "settings.json").exists() else None


def _read(log: History, name: str, told: Callable[[int], object]) -> Dataset:
    found = events_of(log, name, told)
    if not is_shoppers(found.train).any():
        raise SettingError(f"{name}: its log holds no shopper's event to learn from")
    return found


def _in_words(in_force: dict[str, str]) -> str:
    return ", ".join(f"{model} {version}" for model, version in sorted(in_force.items()) if version != OFF)


def _say(made: Artefact, trained: Trained, in_force: bool, as_json: bool) -> None:
    said = {"version": made.version, "path": str(made.path), "models": trained.models, "run": trained.run}
    if as_json:
        click.echo(json.dumps(said))
        return
    run = trained.run
    click.echo(f"{made.path}: {run['events']:,} events, {run['first'][:10]} to {run['last'][:10]}")
    if lacking := left_out(run):
        click.echo(f"left out: {lacking}")
    for model, one in trained.models.items():
        k = one.get("k")
        measures = {
            f"HR@{k}": one.get("hr"),
            f"MRR@{k}": one.get("mrr"),
            "AUC": one.get("auc"),
            "log-loss": one.get("log_loss"),
        }
        judged = "  ".join(f"{name} {value:.4f}" for name, value in measures.items() if value is not None)
        counted = ", ".join(f"{one[name]:,} {name}" for name in ("users", "items", "terms", "questions") if name in one)
        on = f"  (on {one['judged']:,} newest questions, by weights of those before)" if "judged" in one else ""
        click.echo(f"  {model:6} {judged or counted}{on}")
        for item in one.get("most_popular", ()):
            click.echo(f"           {_item(item)}")
    for model, why in run.get("left_out", {}).items():
        click.echo(f"  {model:6} left out: {why}")
    if in_force:
        click.echo("in force: lists are made with it from now on")
    click.echo(f"{run['seconds']:.0f} s, {run['memory_mb']:,} MB of memory at most")


def _item(said: dict[str, Any]) -> str:
    """A line of the item-feature library."""
    words = " ".join(term for term in said["terms"] if ":" not in term) or "?"
    counts = ", ".join(f"{said[name]:,} {name}" for name in ("views", "carts", "purchases") if said[name])
    return f"{words[:48]:48} {counts}; {said['buyers']:,} of {said['visits']:,} visits bought it"
