"""All that a state directory holds, read once: what is not as it was written.

A start reads the newest snapshot and the log after it. What is damaged before that is found when the log has to be
learned again, after an upgrade say, and by then in every backup too: so it is looked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from shopguide import snapshot
from shopguide.artefacts import Artefacts
from shopguide.errors import StateError
from shopguide.kafka.binding import bound
from shopguide.log import Log
from shopguide.rejects import DAMAGED, RejectFiles
from shopguide.state import StateDir

READ = 65536  # rows at once


def damages(state: StateDir) -> Iterator[str]:
    """A line for each damage, with its file: of a partition of the log the first. A process may work on the directory
    meanwhile."""
    yield from _of_the_log(state)
    yield from _of_snapshots(state)
    yield from _of_models(state)
    if lines := RejectFiles(state.rejects).counts[DAMAGED]:
        yield f"{state.rejects}: {lines} damaged lines, which are passed over"


def _of_the_log(state: StateDir) -> Iterator[str]:
    if bound(state.path) is not None:
        return
    try:
        log = Log(state.log, Log.partitions_of(state.log, 1), readonly=True)
    except StateError as e:
        yield str(e)
        return
    for partition in range(log.partitions):
        at = 0
        try:
            while (batch := log.read(partition, at, READ)) is not None:
                at = batch.last + 1
        except StateError as e:
            yield str(e)
    log.close()


def _of_snapshots(state: StateDir) -> Iterator[str]:
    for folder in state.folders():
        try:
            for name in json.loads((folder / "manifest.json").read_text())["parts"]:
                snapshot.read(folder / name, name, ())
        except FileNotFoundError as e:
            if folder.exists():  # else newer ones have taken its place
                yield f"{folder} lacks {Path(e.filename).name}"
        except (OSError, StateError) as e:
            yield str(e)
        except (ValueError, LookupError, TypeError):
            yield f"{folder / 'manifest.json'} is damaged"


def _of_models(state: StateDir) -> Iterator[str]:
    artefacts = Artefacts(state.models)
    for manifest in sorted(state.models.glob("[!.]*/manifest.json")):
        try:
            artefacts.open(manifest.parent.name)
        except StateError as e:
            if manifest.exists():
                yield str(e)
