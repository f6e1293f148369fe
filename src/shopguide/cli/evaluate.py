"""``shopguide evaluate``: how good the advice would have been, by the code of the live line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from shopguide.cli.options import examples, json_option, settings_options
from shopguide.cli.sources import progress
from shopguide.errors import SettingError
from shopguide.evaluate import report
from shopguide.evaluate.arms import Arm, Contest, alone, seconds
from shopguide.evaluate.data import LEAVE_ONE_OUT, NEXT_ITEM, PREQUENTIAL, STATIC, Dataset, open_dataset
from shopguide.evaluate.protocols import WARM_UP, learned
from shopguide.evaluate.rates import rates
from shopguide.evaluate.training import HeldOut
from shopguide.networks.learning import Learner
from shopguide.networks.loading import NETWORKS
from shopguide.report import figures
from shopguide.settings import Settings, load
from shopguide.weights import BLENDED, Weights

SEEN = "these weights were trained on {}, on what is asked here too: on newer events they are worse"
ABSENT = "they were trained with {} too, which is not asked here: --networks and --profiles ask it"


@click.command(
    epilog=examples(
        "shopguide evaluate events.csv        (user,item,time: the first 80 % is learned, the rest is asked)",
        "shopguide evaluate DATA/yoochoose_100k --recommender all --blend trees",
        "shopguide evaluate clicks.jsonl --freshness 0,1h,1d,never --plot freshness.png",
        "shopguide evaluate events.csv --weights .shopguide/weights.json --json",
    )
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--format", "format_", help="Of the files; none: found out.")
@click.option("--protocol", type=click.Choice((NEXT_ITEM, LEAVE_ONE_OUT)), help="None: what fits the data.")
@click.option(
    "--mode", type=click.Choice((STATIC, PREQUENTIAL)), help="None: static where there is a test part of its own."
)
@click.option("--recommender", default="blend", show_default=True, help=f"blend, all, or of {', '.join(BLENDED)}.")
@click.option("--blend", "learner", type=click.Choice(("linear", "trees")), default="linear", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Trained weights; none: trained on the learned part.")
@click.option("--networks", default="", help="Trained on the learned part and asked too: rnn, cnn, title or rnn,title.")
@click.option("--profiles", is_flag=True, help="Of users, made of the learned part and asked too.")
@click.option("--untrained", is_flag=True, help="The settings' own weights.")
@click.option("--ablate", is_flag=True, help="The blend without each signal in turn too, its weights trained anew.")
@click.option("-k", default=None, type=click.IntRange(1, 100), help="Length of a list; none: 20, or 10 a user.")
@click.option("--seen", type=click.Choice(("keep", "drop")), help="None: drop for leave-one-out only.")
@click.option("--freshness", help="How late models learn, as 0,10m,1h,1d,never; prequential.")
@click.option(
    "--warm-up",
    type=click.FloatRange(0, 1, max_open=True),
    default=WARM_UP,
    show_default=True,
    help="Share of a single stream that is learned first.",
)
@settings_options
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Picture to write.")
@json_option
def evaluate(paths: tuple[Path, ...], plot: Path | None, as_json: bool, **asked: Any) -> None:
    """Measure recommenders on data. Of sessions each next item is asked for; rank, coverage and speed are told.

    HR: lists that have it (the recall, for there is one right item). MRR: 1 / its place, in the mean. NDCG: 1 / log2(1
    + its place). Coverage: of the items, those recommended at all. Popularity: events of a recommended item, of the
    most popular one's. Novelty: bits that it tells. µs: of a list. --json also has precision, F1, MAP, rejected rows.
    """
    if math.isnan(asked["warm_up"]):
        raise SettingError("--warm-up nan: should be 0 or more, and below 1")
    runs = [_run(path, **asked) for path in paths]
    if as_json:
        click.echo(json.dumps({"runs": runs}))
    else:
        for run in runs:
            report.print_run(run)
    if plot is not None:
        figures.save(figures.hit_rates(runs), plot)


def _run(
    path: Path,
    format_: str | None,
    protocol: str | None,
    mode: str | None,
    recommender: str,
    learner: str,
    weights: Path | None,
    networks: str,
    profiles: bool,
    untrained: bool,
    ablate: bool,
    k: int | None,
    seen: str | None,
    freshness: str | None,
    warm_up: float,
    preset: str | None,
    config_path: Path | None,
) -> dict[str, Any]:
    with progress() as bar:
        reading = bar.add_task(f"reading {path.name}", total=None, rows=0)
        collect = load(preset, config_path).collect
        dataset = open_dataset(path, format_, protocol, lambda rows: bar.update(reading, rows=rows), collect)
        bar.update(reading, visible=False)
        settings = dataset.settings(preset, config_path)
        by_user = dataset.protocol == LEAVE_ONE_OUT
        mode = mode or (STATIC if by_user or dataset.test is not None else PREQUENTIAL)
        k, seen = k or (10 if by_user else 20), seen or ("drop" if by_user else "keep")
        late = [seconds(part) for part in freshness.split(",")] if freshness else [0.0]
        if freshness and mode != PREQUENTIAL:
            raise SettingError(f"--freshness {freshness!r}: in mode {mode} no model learns; add --mode {PREQUENTIAL}")
        asked, profiles = _networks(networks, recommender, bar), profiles or recommender == "profile"
        arms: list[Arm] = []
        if recommender in ("blend", "all"):
            held = learned(dataset, warm_up)
            arms += _blends(held, settings, learner, weights, untrained, ablate, seen, bar, asked, profiles)
        if recommender != "blend":
            silent = {*NETWORKS, *(() if settings.learn.users else ("users",)), *(() if profiles else ("profile",))}
            silent -= {*(asked.kinds if asked else ())}
            names = [name for name in BLENDED if name not in silent] if recommender == "all" else [recommender]
            arms += [Arm(name, "", alone(name)) for name in names]
        arms = [Arm(arm.recommender, arm.learner, arm.weights, each) for arm in arms for each in late]
        asking = bar.add_task("asking", total=None, rows=0)
        contest = Contest(
            dataset, settings, mode, k, seen, arms, warm_up, lambda n: bar.update(asking, rows=n), asked, profiles
        )
        contest.run()
    if not contest.arms[0].ranks.rank:
        raise SettingError(f"{path}: there is no question to ask: no session or user goes on after the learned part")
    run = report.result(dataset, mode, k, contest)
    run |= {"rates": found} if (found := rates(dataset)) else {}
    caution = _caution(arms[0].weights, dataset, asked, profiles) if weights is not None else ""
    return run | ({"caution": caution} if caution else {})


def _blends(
    dataset: Dataset,
    settings: Settings,
    learner: str,
    weights: Path | None,
    untrained: bool,
    ablate: bool,
    seen: str,
    bar: Progress,
    networks: Learner | None,
    profiles: bool,
) -> list[Arm]:
    if ablate and (untrained or weights is not None):
        raise SettingError("--ablate: trains weights anew, so it goes with neither --weights nor --untrained")
    if untrained:
        return [Arm("blend", "untrained", Weights.of(settings.score))]
    if weights is not None:
        found = Weights.load(weights, "--weights")
        return [Arm("blend", "linear" if found.trees is None else "trees", found)]
    task = bar.add_task("training", total=None, rows=0)

    def told(stage: str) -> None:
        bar.update(task, description=f"training: {stage}")

    held = HeldOut.of(dataset, settings, seen, told, networks, profiles)
    arms = [Arm("blend", learner, held.train(learner, told))]
    for names in _left_out(held.signals, ablate, networks, profiles):
        told(f"without {', '.join(names)}")
        arms.append(Arm(f"without {', '.join(names)}", learner, held.without(*names).train(learner)))
    bar.update(task, visible=False)
    return arms


def _caution(weights: Weights, dataset: Dataset, networks: Learner | None, profiles: bool) -> str:
    """What the numbers of trained weights do not say: that they know what is asked, all of a single stream; and which
    signals that they were trained with are not asked. Empty: nothing."""
    there = {*(networks.kinds if networks else ()), *(("profile",) if profiles else ())}
    absent = ({*NETWORKS, "profile"} & {*weights.trained.get("signals", ())}) - there
    whole = dataset.test is None and dataset.protocol == NEXT_ITEM
    seen = [SEEN.format(dataset.name)] if whole and weights.trained.get("on") == dataset.name else []
    return "; ".join(seen + ([ABSENT.format(", ".join(sorted(absent)))] if absent else []))


def _left_out(signals: list[str], ablate: bool, networks: Learner | None, profiles: bool) -> list[tuple[str, ...]]:
    """What blends do without, to see what it is worth: all networks together, profiles, and each signal by itself."""
    together = [networks.kinds] if networks else []
    together += [("profile",)] if profiles else []
    each = [(name,) for name in signals] if ablate else []
    return together + [names for names in each if names not in together]


def _networks(given: str, recommender: str, bar: Progress) -> Learner | None:
    """What trains the networks that are asked for, by name or as the recommender; None: nothing."""
    kinds = dict.fromkeys([*filter(None, given.split(",")), *([recommender] if recommender in NETWORKS else [])])
    if unknown := kinds.keys() - set(NETWORKS):
        raise SettingError(
            f"--networks {given!r}: should be of {', '.join(NETWORKS)}, not {', '.join(sorted(unknown))}"
        )
    if not kinds:
        return None
    task = bar.add_task("networks", total=None, rows=0)
    return Learner(kinds, lambda stage: bar.update(task, description=stage))
