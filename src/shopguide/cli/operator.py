"""What an operator asks of a running line: forget a person, take an event back, import what others know of users, say
how the model stands."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from shopguide import __version__, receipts
from shopguide.artefacts import BLEND, OFF, Artefacts
from shopguide.cli.control import Control, Verbs
from shopguide.cli.door import Line
from shopguide.cli.tally import Tally
from shopguide.collect.encode import Encoder
from shopguide.collect.imports import MappedFiles
from shopguide.collect.mapping import load_mapping
from shopguide.compaction import Found, erase, find, naming
from shopguide.errors import RefusedError, SourceError, StateError
from shopguide.keys import event_key, partition_of
from shopguide.log import Log
from shopguide.models import served
from shopguide.records import Kind
from shopguide.rejects import raw
from shopguide.tastes import MODEL as PROFILES
from shopguide.tastes.forgetting import forget, keep_only

logger = logging.getLogger(__name__)

AHEAD = 50_000  # rows that an import may be ahead of the line


class Operator:
    """Called from any thread but the runner's; each call waits until it is done. Raises StateError where the disk
    refuses: then it can be asked again."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def forget(self, user: str, checksum: bool = False) -> dict[str, Any]:
        """Forget a user and all who are the same person; the signed receipt.

        The model lets go of them first, then a snapshot without them replaces all older ones, and at last their rows
        leave the rejects and the log. A crash in between is made up for at the next start (:meth:`resume`).
        """
        if not user or not isinstance(user, str):
            raise SourceError(f"{user!r} is no user id")
        receipt = {"user": user, **self._forget(user, self._line.secret.user_key(user), [user])}
        return receipts.sign(self._line.secret, {**receipt, **({"checksum": self.checksum()} if checksum else {})})

    def forget_key(self, key: int) -> dict[str, Any]:
        """The same for a user of whom only the key is known, from a token."""
        return receipts.sign(self._line.secret, self._forget(key, key, []))

    def _forget(self, note: str | int, key: int, ids: list[str]) -> dict[str, Any]:
        line = self._line
        with line.forgetting:
            line.state.note_forgets([*line.state.forgets(), note])
            line.learn_all()
            keys = {key, *(one for one in line.state.forgets() if isinstance(one, int))}
            person = line.call(lambda: self._whereabouts(keys))
            line.state.note_forgets([*line.state.forgets(), *person])  # what links them is about to be forgotten
            self._let_go(person)
            found, learned_models = self._purge(list(person), ids)
            for one in person:
                line.revoke(one)
            if line.publisher is not None:
                line.publisher.forget(person)
            line.state.note_forgets([one for one in line.state.forgets() if one not in (note, *person)])
        offsets = {str(p): int(offsets[-1]) for p, offsets in found.offsets.items() if len(offsets)}
        logger.info("somebody is forgotten", extra={"rows": sum(found.kinds.values()), "offsets": offsets})
        return {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "identities": len(person),
            "rows": sum(found.kinds.values()),
            "kinds": dict(sorted(found.kinds.items())),
            "sha256": found.digest,
            "offsets": offsets,
            "learned_models": learned_models,
            **self._kept_by(),
        }

    def _whereabouts(self, users: set[int]) -> dict[int, list[int]]:
        """The keys of users and all who are the same persons, and the partitions that know each."""
        featurizer = self._line.stage("featurize")
        person = {key for user in users for key in featurizer.person(user)}
        return {key: featurizer.whereabouts(key) for key in sorted(person)}

    def _let_go(self, person: dict[int, list[int]]) -> None:
        """The model lets go of a person, wherever their rows lie."""
        line = self._line
        for key, partitions in person.items():
            for partition in {partition_of(key, line.log.partitions), *partitions}:
                line.collector.control(Kind.FORGET, key, partition=partition)
        line.collector.commit()
        line.learn_all()

    def _purge(self, person: list[int], ids: list[str]) -> tuple[Found, list[str]]:
        """All files without a person whom the model has forgotten; what went, and which trained versions read it. A
        topic keeps its rows as long as it keeps any: which are theirs is not looked for, so every version that was
        trained from it may have read them."""
        line = self._line
        log = line.log if isinstance(line.log, Log) else None
        found = find(log, person, ids) if log else Found()
        offsets = found.offsets if log else dict.fromkeys(range(line.log.partitions), np.zeros(1, np.int64))
        learned_models = Artefacts(line.state.models).note_forgotten(offsets)  # while it is known which rows
        line.snapshot(only=True)
        forget(Artefacts(line.state.models), person)
        names = naming(person, ids)
        line.call(
            lambda: line.stage("reject").purge(
                lambda p, row: row["offset"] in found.offsets.get(p, ()) or names(raw(row))
            )
        )
        if log:
            erase(log, found.offsets)
        return found, learned_models

    def _kept_by(self) -> dict[str, str]:
        """Who keeps copies that are not ours to erase."""
        log, publisher = self._line.log, self._line.publisher
        topics = (publisher.topics if publisher else []) if isinstance(log, Log) else log.topics
        return {"kept_by": f"topics {', '.join(topics)}, until their retention"} if topics else {}

    def retract(self, event: str) -> dict[str, Any]:
        """Take the event of a producer's id back; ``found`` says whether the model held it."""
        line, key = self._line, event_key(event)
        line.learn_all()
        owner = line.call(lambda: line.stage("featurize").owner(key))
        if owner is not None:
            partition, user = owner
            line.collector.control(Kind.RETRACT, user, partition=partition, target=key)
            line.collector.commit()
            line.learn_all()
        return {"event": event, "found": owner is not None}

    def activate(self, version: str, models: list[str], share: float | None = None) -> dict[str, str]:
        """Put models of a trained version in force (none named: all that it has), or switch them off; which version
        each is of then, and that on trial. ``share``: its blend is tried on that share of the users. Raises
        RefusedError for a version that cannot be served."""
        line = self._line
        read: Mapping[int, int] = {}
        if share is not None and (version == OFF or not {BLEND}.issuperset(models)):
            raise RefusedError("a share of the users can have the blend of a version, and no other model of it")
        if version == OFF:
            named = models or line.call(lambda: line.stage("score").trained.in_force.models)
        else:
            named, read = self._served(version, models or [BLEND] * (share is not None))
        for partition in range(line.log.partitions) if PROFILES in named else (0,):
            said: dict[str, Any] = {"version": version, "models": named} | ({"share": share} if share else {})
            said |= {"read": read.get(partition, 0)} if PROFILES in named else {}
            line.collector.control(Kind.ACTIVATE, 0, partition=partition, **said)
        line.collector.commit()
        line.learn_all()
        return dict(line.call(lambda: line.stage("score").trained.in_force.named))

    def in_force(self) -> dict[str, Any]:
        """Which version each model is of, and the trial, as :meth:`InForce.said` has them."""
        line = self._line
        return line.call(lambda: dict(line.stage("score").trained.in_force.said()))

    def _served(self, version: str, models: list[str]) -> tuple[list[str], Mapping[int, int]]:
        """The models of a version (none named: all) that can be put in force, and what its profiles have read."""
        line, artefacts = self._line, Artefacts(self._line.state.models)
        artefact = artefacts.open(version)
        named = models or list(artefact.models)
        if lacking := set(named) - set(artefact.models):
            raise RefusedError(
                f"version {version} has no {', '.join(sorted(lacking))}: it has {', '.join(artefact.models)}"
            )
        found = {model: served(artefact, model) for model in named}
        if PROFILES not in named:
            return named, {}
        line.learn_all()
        keep_only(artefacts, artefact, line.call(lambda: line.stage("featurize").users()))
        return named, found[PROFILES].read

    def take_in(self, paths: list[str], mapping: str) -> Generator[dict[str, Any], None, dict[str, Any]]:
        """Import files by a mapping file, saying how far it is; what became of their rows, once they are learned."""
        line, tally = self._line, Tally()
        encoder = Encoder(line.secret, controls=True)
        files = MappedFiles([Path(path) for path in paths], load_mapping(Path(mapping)))
        for chunk in files.chunks():
            encoded = encoder.encode(chunk)
            tally.count(chunk, encoded)
            tally.new += line.collector.load(encoded).accepted
            line.collector.commit()
            line.catch_up(AHEAD)
            yield {"under_way": {"completed": files.position, "total": files.total, "rows": tally.rows}}
        line.learn_all()
        return tally.report()

    def checksum(self) -> str:
        """The model's checksum (hex)."""
        return str(self._line.call(self._line.stage("score").checksum))

    def resume(self) -> None:
        """Finish what a crash interrupted."""
        try:
            for who in self._line.state.forgets():
                self.forget(who) if isinstance(who, str) else self.forget_key(who)
        except StateError as e:
            logger.warning("forgetting has to wait: %s", e)


@contextmanager
def operated(line: Line) -> Iterator[Operator]:
    """The line at work, and reachable for commands."""
    line.start()
    operator = Operator(line)
    try:
        operator.resume()
        verbs: Verbs = {
            "version": lambda: __version__,
            "forget": operator.forget,
            "retract": operator.retract,
            "take_in": operator.take_in,
            "activate": operator.activate,
            "in_force": operator.in_force,
        }
        with Control(line.state.path, verbs):
            yield operator
    finally:
        line.stop()
