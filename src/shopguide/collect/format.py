"""What a format of files is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from shopguide.collect.chunk import Chunk


class Format(ABC):
    """One file of a format. ``first`` is its first line; ``skip`` lines of it are its header; ``unread``: the columns
    that this names and nothing is made of."""

    name: ClassVar[str]
    skip: int = 0
    unread: Sequence[str] = ()

    @classmethod
    @abstractmethod
    def sniff(cls, first: str) -> bool:
        """Whether a file that begins with this line is of this format."""

    @abstractmethod
    def __init__(self, first: str) -> None:
        """Raises SourceError where the header does not do."""

    @abstractmethod
    def parse(self, lines: list[bytes], last: bool) -> Chunk:
        """The rows of these lines (some may be kept for the next call, none when they are the last)."""
