"""Files of users, read by a mapping: CSV (TSV, …) with a header, JSON objects a line, plain or gzip, or Parquet.

A row is identified by what is in its file, the mapping, and its number. So an import that was interrupted goes on, one
that was done does nothing, and a file with other rows under the old name is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Names
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import xxhash

from shopguide.collect import parquet
from shopguide.collect.chunk import Chunk, Column
from shopguide.collect.files import CHUNK, Reading, Text
from shopguide.collect.format import Format
from shopguide.collect.formats import Jsonl, Table, header_of
from shopguide.collect.lines import Fields, Lines
from shopguide.collect.mapping import Mapping
from shopguide.errors import SourceError

HASHED = 1 << 20  # bytes of a file taken at once


class MappedTable(Table):
    """Delimited text; of its columns those that the mapping names."""

    def __init__(self, mapping: Mapping, first: str) -> None:
        self.delimiter, self.header = header_of(first)
        self._names = mapping.demand(self.header)
        self._fields = Fields(self.delimiter, len(self.header))

    def columns(self, fields: Names[str, Sequence[str]], problems: dict[int, str]) -> dict[str, Column]:
        return {name: fields[name] for name in self._names}


class MappedJsonl(Jsonl):
    """A JSON object a line; of its members those that the mapping names."""

    @classmethod
    def sniff(cls, first: str) -> bool:
        return first.startswith("{")

    def __init__(self, mapping: Mapping, first: str) -> None:
        self._names = mapping.columns

    def chunk(self, objects: list[dict[str, Any]], lines: list[bytes], problems: dict[int, str]) -> Chunk:
        columns: dict[str, Column] = {name: [found.get(name) for found in objects] for name in self._names}
        return Chunk(len(objects), columns, lines.__getitem__, problems)


class MappedFiles:
    """Files and their mapping; ``position`` of ``total`` bytes are read. Raises SourceError, in one line, where one
    cannot be read or lacks a column."""

    def __init__(self, paths: Sequence[Path], mapping: Mapping) -> None:
        self._mapping = mapping
        self._open: list[Callable[[], Reading]] = [_recognise(path, mapping) for path in paths]
        self._sources = [_source(path, mapping) for path in paths]
        self.total = sum(path.stat().st_size for path in paths)
        self.position = 0

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
        before = 0
        for open_, source in zip(self._open, self._sources, strict=True):
            reading = open_()
            for chunk in reading.chunks(source, CHUNK):
                self.position = before + reading.position
                yield self._mapping.chunk(chunk)
            before += reading.total


def _recognise(path: Path, mapping: Mapping) -> Callable[[], Reading]:
    lines = Lines(path)
    if parquet.is_parquet(path):
        parquet.Parquet(path, mapping.demand)
        return partial(parquet.Parquet, path, mapping.demand)
    block = next(lines.blocks())
    if not block or not block[0]:
        raise SourceError(f"{path} is {'damaged from its beginning on' if lines.damage else 'empty'}")
    try:
        first = block[0].decode()
    except UnicodeDecodeError:
        raise SourceError(f"{path} is no text in UTF-8, and no Parquet file") from None
    format_: Callable[[str], Format] = partial(MappedJsonl if MappedJsonl.sniff(first) else MappedTable, mapping)
    try:
        if MappedJsonl.sniff(first):
            mapping.demand(_members(block))
        format_(first)
    except SourceError as e:
        raise SourceError(f"{path}: {e}") from None
    return lambda: Text(path, format_, first)


def _members(lines: list[bytes]) -> list[str]:
    """The names that the objects of some lines have; one that says nothing may leave a name out."""
    names: dict[str, None] = {}
    for line in lines:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        names |= dict.fromkeys(found) if isinstance(found, dict) else {}
    return list(names)


def _source(path: Path, mapping: Mapping) -> int:
    """What the log calls a file read by a mapping."""
    hashed = xxhash.xxh3_64(mapping.model_dump_json().encode())
    with path.open("rb") as file:
        while data := file.read(HASHED):
            hashed.update(data)
    return hashed.intdigest()
