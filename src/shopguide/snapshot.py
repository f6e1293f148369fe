"""A snapshot file: named columns, whole or refused.

    "SHOPGUID"  version u32  length u32  header (JSON: kind; of each column name, dtype, items)  xxh3 of all before
    then each column in slices of 1 MiB: bytes, xxh3 of them seeded with the slice's number in the file
    "THE END!"

Little-endian. Every byte is under a checksum, and a slice in another's place does not match, so a file that is cut,
flipped anywhere or longer than it was written is refused, with the reason. Nothing is used before its slice matched.

A structure gives its columns in one piece (`dump`), a copy as of that moment; writing them needs neither the structure
nor the GIL, which hashing and the system's write release. So a thread can write while events go on.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash
from numpy.typing import NDArray

from shopguide import durable
from shopguide.errors import StateError

MAGIC, END = b"SHOPGUID", b"THE END!"
VERSION = 1
SLICE = 1 << 20
DTYPES = frozenset({"|u1", "|b1", "<u4", "<u8", "<i8", "<f4", "<f8"})
LONGEST_HEADER = 1 << 16

Columns = dict[str, NDArray[Any]]


def write(path: Path, kind: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Make ``path`` hold the columns (one-dimensional, a dtype of DTYPES): whole and durable, or as it was before.

    Raises OSError where the disk refuses; ValueError for a column of another shape or dtype.
    """
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.str not in DTYPES:
            raise ValueError(f"column {name} is {column.dtype.str} of {column.ndim} dimensions")
    temporary = path.with_name(f".{path.name}")
    try:
        with temporary.open("wb") as file:
            _write(file, kind, columns)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        durable.sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path, kind: str, wanted: Container[str] | None = None) -> Columns:
    """The columns of a snapshot of that kind. ``wanted``: only these are kept; all are read, a slice at a time.

    Raises StateError naming the file and what is wrong with it; OSError where it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _read(file, kind, wanted)
        except _BrokenError as e:
            raise StateError(f"{path} is no whole snapshot of {kind}: {e}") from None


class _BrokenError(Exception):
    pass


def _write(file: BinaryIO, kind: str, columns: Mapping[str, NDArray[Any]]) -> None:
    described = [[name, column.dtype.str, len(column)] for name, column in columns.items()]
    header = json.dumps({"kind": kind, "columns": described}).encode()
    head = MAGIC + struct.pack("<II", VERSION, len(header)) + header
    file.write(head + _hash(head, 0))
    number = 0
    for column in columns.values():
        data = np.ascontiguousarray(column).data.cast("B") if len(column) else b""
        for at in range(0, len(data), SLICE):
            number += 1
            piece = data[at : at + SLICE]
            file.write(piece)
            file.write(_hash(piece, number))
    file.write(END)


def _read(file: BinaryIO, kind: str, wanted: Container[str] | None) -> Columns:
    described = _header(file, kind)
    columns: Columns = {}
    number = 0
    for name, dtype, length in described:
        data, keep = bytearray(), wanted is None or name in wanted
        left = length * np.dtype(dtype).itemsize
        while left:
            number += 1
            piece = file.read(min(left, SLICE))
            if len(piece) < min(left, SLICE):
                raise _BrokenError(f"it ends within column {name}")
            if file.read(8) != _hash(piece, number):
                raise _BrokenError(f"slice {number}, of column {name}, does not match its checksum")
            left -= len(piece)
            if keep:
                data += piece
        if keep:
            columns[name] = np.frombuffer(data, dtype)
    if file.read() != END:
        raise _BrokenError("it does not end where it should")
    return columns


def _header(file: BinaryIO, kind: str) -> list[tuple[str, str, int]]:
    head = file.read(16)
    if len(head) < 16 or head[:8] != MAGIC:
        raise _BrokenError("it does not begin as one")
    version, length = struct.unpack("<II", head[8:])
    if version != VERSION:
        raise _BrokenError(f"version {version}, this program reads {VERSION}")
    header = file.read(min(length, LONGEST_HEADER))
    if file.read(8) != _hash(head + header, 0):
        raise _BrokenError("its header does not match its checksum")
    found, columns = _described(header)
    if found != kind:
        raise _BrokenError(f"it is one of {found}")
    return columns


def _described(header: bytes) -> tuple[str, list[tuple[str, str, int]]]:
    try:
        found = json.loads(header)
        kind, columns = found["kind"], [(name, dtype, length) for name, dtype, length in found["columns"]]
        fine = all(type(name) is str and dtype in DTYPES and type(n) is int and n >= 0 for name, dtype, n in columns)
    except (ValueError, KeyError, TypeError, RecursionError):
        fine = False
    if not fine:
        raise _BrokenError("its header describes no columns")
    return kind, columns


def _hash(data: bytes | memoryview, number: int) -> bytes:
    return xxhash.xxh3_64(data, seed=number).digest()
