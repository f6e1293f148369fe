"""Rows of users leave the profiles that were trained, wherever they lie."""

from __future__ import annotations

from collections.abc import Collection

from shopguide.artefacts import Artefact, Artefacts
from shopguide.tastes.users import FILE, Tastes


def forget(artefacts: Artefacts, users: Collection[int]) -> None:
    """No version has a row of these users any more. Raises StateError where the disk refuses; again, it goes on."""
    for artefact in artefacts.all():
        if FILE in artefact.files:
            _leave(artefacts, artefact, users)


def keep_only(artefacts: Artefacts, artefact: Artefact, users: Collection[int]) -> None:
    """A version has rows of these users alone: of nobody who was forgotten while it was trained. Raises StateError."""
    there = Tastes.load(artefact.files[FILE]).users.tolist()
    _leave(artefacts, artefact, set(there).difference(users))


def _leave(artefacts: Artefacts, artefact: Artefact, users: Collection[int]) -> None:
    left = Tastes.load(artefact.files[FILE]).without(users)
    artefacts.replace(artefact, {} if left is None else {FILE: left.packed()})
