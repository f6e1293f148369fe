"""What bolts share: a tuple that comes too early, or that the disk does not take now, has to come again."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

from streamparse import Bolt

from shopguide.errors import GapError, StateError
from shopguide.storm.deployment import Deployment

PAUSE = 0.2  # seconds before what a full disk refused is asked for again


class RetryingBolt(Bolt, ABC):
    """Acks what it could handle and fails the rest: the spout goes back to it."""

    auto_ack = False

    @abstractmethod
    def handle(self, tup: Any) -> None:
        """Raises GapError or StateError for a tuple that has to come again."""

    def process(self, tup: Any) -> None:
        try:
            self.handle(tup)
        except GapError as e:
            self.logger.info("%s; asking for them", e)
            self.fail(tup)
        except StateError as e:
            self.logger.warning("%s; trying again", e)
            time.sleep(PAUSE)
            self.fail(tup)
        else:
            self.ack(tup)


class StageBolt(RetryingBolt):
    """Makes its stage and gives it its part of the newest snapshot."""

    def initialize(self, storm_conf: dict[str, Any], context: dict[str, Any]) -> None:
        deployment = Deployment(storm_conf, context)
        self.stage = self.make(deployment)
        part = deployment.part()
        if part is not None:
            self.stage.load(part)

    @abstractmethod
    def make(self, deployment: Deployment) -> Any:
        """The stage object."""
