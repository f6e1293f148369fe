"""``shopguide report``: a training run and evaluations as a page to look at and to send around."""

from __future__ import annotations

from pathlib import Path

import click

from shopguide import durable
from shopguide.artefacts import Artefact, Artefacts
from shopguide.cli.options import examples
from shopguide.errors import SettingError, StateError
from shopguide.report import evaluations, page
from shopguide.state import StateDir


@click.command(
    epilog=examples(
        "shopguide report DIR        (DIR/report.html; DIR: a state directory, or of `train --out DIR`)",
        "shopguide evaluate DATA/yoochoose_100k --recommender all --json > DIR/evaluation.json",
        "shopguide report DIR --version 9f2c64c0f1d2a7b3 --out report.html        (and what is in *.json of DIR)",
    )
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--version", "version", help="Which training; none: the newest.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The page; none: DIR/report.html.")
def report(folder: Path, version: str | None, out: Path | None) -> None:
    """Write one page of HTML with pictures: how a training went, and what evaluations found."""
    artefact, runs = _trained(folder, version), evaluations(folder)
    if artefact is None and not runs:
        raise SettingError(
            f"{folder}: holds no training, and no *.json of `shopguide evaluate --json`: nothing to report"
        )
    out = out or folder / "report.html"
    try:
        durable.replace(out, page(artefact, runs).encode())
    except OSError as e:
        raise StateError(f"cannot write {out}: {e.strerror}") from None
    click.echo(out)


def _trained(folder: Path, version: str | None) -> Artefact | None:
    """A training that a state directory holds, or a folder of versions."""
    state = StateDir(folder).models
    artefacts = Artefacts(state if state.is_dir() else folder)
    if version is not None:
        return artefacts.open(version)
    found = artefacts.all()
    return found[-1] if found else None
