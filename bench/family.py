"""A process and its children, as the kernel has them."""

from __future__ import annotations

from pathlib import Path


def family(pid: int) -> list[int]:
    """The process first, then the children of all its threads."""
    tasks = Path(f"/proc/{pid}/task")
    return [pid, *(int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split())]
