"""What bolts of stages with state share: the stage, its part of a snapshot, what to do with a tuple too early."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from streamparse import Bolt

from shopguide.errors import GapError
from shopguide.storm.deployment import Deployment


class StageBolt(Bolt, ABC):
    """Makes its stage, gives it its part of the newest snapshot, and fails a tuple that comes too early."""

    auto_ack = False

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        deployment = Deployment(storm_conf, context)
        self.stage = self.make(deployment)
        part = deployment.part()
        if part is not None:
            self.stage.load(part)

    @abstractmethod
    def make(self, deployment: Deployment) -> Any:
        """The stage object."""

    @abstractmethod
    def handle(self, tup: Any) -> None:
        """Call the stage and emit. Raises GapError for a tuple that has to come again."""

    def process(self, tup: Any) -> None:
        try:
            self.handle(tup)
        except GapError as e:
            self.logger.info("%s; asking for them", e)
            self.fail(tup)
        else:
            self.ack(tup)
