"""A process and its children, as the kernel has them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """The process first, then the children of all its threads."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile has no children
            found += map(int, (task / "children").read_text().split())
    return found
