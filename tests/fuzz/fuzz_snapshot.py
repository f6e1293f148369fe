"""Snapshot files of any bytes, and structures that load any columns: whole and sound, or refused as promised.

The first byte of an input says what it is: a file as it is, a file whose checksums all match (here "checksum" is the
checksum of anything), or columns. Run by run.py with an instrumented core; alone: fuzz_snapshot.py FILE.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import numpy as np

if "FUZZ_CORE" in os.environ:
    loader = importlib.machinery.ExtensionFileLoader("shopguide._core", os.environ["FUZZ_CORE"])
    spec = importlib.util.spec_from_loader("shopguide._core", loader)
    assert spec
    sys.modules["shopguide._core"] = importlib.util.module_from_spec(spec)
    loader.exec_module(sys.modules["shopguide._core"])

with atheris.instrument_imports(include=["shopguide.snapshot"]):
    from shopguide import snapshot
from shopguide._core import Audience, Items, Next, Recent, Sessions, Users
from shopguide.errors import StateError

Columns = dict[str, Any]
AUDIENCE = ("items", "users", "counts")
MAKERS: dict[str, Callable[[], Any]] = {
    "items": lambda: Items(5, 9),
    "capped": lambda: Items(5, 9, row_cap=256),
    "decayed": lambda: Items(5, 9, half_life=10.0),
    "next": lambda: Next(3, 5),
    "sessions": lambda: Sessions(5, unit_cap=2),
    "users": lambda: Users(30.0),
    "recent": lambda: Recent(10.0),
    "audience": Audience,
}
HASH = snapshot._hash
FILE = Path(f"/proc/self/fd/{os.memfd_create('snapshot')}")


def dump(structure: Any) -> Columns:
    dumped = structure.dump()
    return dumped if isinstance(dumped, dict) else dict(zip(AUDIENCE, dumped, strict=True))


def load(structure: Any, columns: Columns) -> None:
    if isinstance(structure, Audience):
        structure.load(*(columns[name] for name in AUDIENCE))
    else:
        structure.load(columns)


def examples() -> dict[str, Columns]:
    """What each structure dumps after a few events."""
    keys, others, times = np.arange(12) % 3, np.arange(12) % 5, np.arange(12) * 7.0
    found = {}
    for name, make in MAKERS.items():
        structure = make()
        if name == "users":
            structure.observe(keys, others, times, keys, keys, keys, others)
        elif name == "recent":
            structure.observe(others, times, np.ones(12))
            structure.categorise(others, keys)
        elif name == "audience":
            structure.add(others, keys)
        else:
            structure.observe_many(keys, others, times)
        found[name] = dump(structure)
    return found


EXAMPLES = examples()


def write_corpus(directory: Path) -> None:
    """The examples as files, with checksums and with "checksum"."""
    for number, (name, columns) in enumerate(EXAMPLES.items()):
        for kind, hashed in enumerate((HASH, lambda data, number: b"checksum")):
            snapshot._hash, file = hashed, directory / f"{name}-{kind}"
            snapshot.write(file, name, columns)
            file.write_bytes(bytes([kind, number]) + file.read_bytes())


def drawn(data: atheris.FuzzedDataProvider, example: Columns) -> Columns:
    """Columns like those of the example: some shorter or longer, of other types, of other values, or missing."""
    columns = {}
    for name, column in example.items():
        what = data.ConsumeIntInRange(0, 7)
        dtype = data.PickValueInList(sorted(snapshot.DTYPES)) if what == 1 else column.dtype.str
        length = data.ConsumeIntInRange(0, 16) if what in (2, 3) else len(column)
        if what == 0:
            continue
        if what in (3, 4):
            raw = data.ConsumeBytes(length * np.dtype(dtype).itemsize)
            columns[name] = np.frombuffer(raw[: len(raw) // np.dtype(dtype).itemsize * np.dtype(dtype).itemsize], dtype)
        elif what == 5 and length:
            columns[name] = column.copy()
            columns[name][data.ConsumeIntInRange(0, length - 1)] = data.ConsumeIntInRange(0, 255)
        else:
            columns[name] = np.resize(column, length).astype(dtype)
    return columns


def content(structure: Any) -> Any:
    """What two structures that hold the same have in common, whatever the order of their rows."""
    if isinstance(structure, Items | Next | Sessions):
        return structure.checksum()
    return {name: sorted(column.tolist()) for name, column in dump(structure).items()}


def check_load(make: Callable[[], Any], columns: Columns) -> None:
    """What loads is sound, and what it dumps makes it again; what does not is refused and leaves nothing behind."""
    structure, again = make(), make()
    try:
        load(structure, columns)
    except (ValueError, KeyError):
        structure.check()
        assert content(structure) == content(again)
        return
    structure.check()
    load(again, dump(structure))
    again.check()
    assert content(structure) == content(again)


def check_file(make: Callable[[], Any], kind: str, raw: bytes) -> None:
    FILE.write_bytes(raw)
    try:
        columns = snapshot.read(FILE, kind)
    except StateError:
        return
    check_load(make, columns)


def check_input(raw: bytes) -> None:
    if len(raw) < 2:
        return
    what, (kind, make) = raw[0] % 3, list(MAKERS.items())[raw[1] % len(MAKERS)]
    snapshot._hash = (lambda data, number: b"checksum") if what == 1 else HASH
    if what < 2:
        check_file(make, kind, raw[2:])
    else:
        check_load(make, drawn(atheris.FuzzedDataProvider(raw[2:]), EXAMPLES[kind]))


if __name__ == "__main__":
    if directory := next((arg for arg in sys.argv[1:] if Path(arg).is_dir()), None):
        write_corpus(Path(directory))
    atheris.Setup(sys.argv, check_input)
    atheris.Fuzz()
