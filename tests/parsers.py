"""Every parser of bytes from outside, as one function each: it may raise what it promises and nothing else.

test_parsers.py gives them changed examples and random bytes, tests/fuzz/fuzz_parsers.py what coverage leads to;
docs/threat-model.md lists them by these names.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import struct
import time
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
import orjson
from memory_line import LIMIT, MemoryLine

from shopguide import lists, receipts, snapshot, wire
from shopguide.artefacts import Artefacts
from shopguide.blend import Blender
from shopguide.cli.control import Control
from shopguide.cli.takeback import _verify as verify_receipt
from shopguide.client import Inbox
from shopguide.collect.addresses import without_addresses
from shopguide.collect.chunk import Chunk
from shopguide.collect.encode import Encoder
from shopguide.collect.files import open_source
from shopguide.collect.foreign import Foreign, load_foreign
from shopguide.collect.imports import MappedFiles
from shopguide.collect.mapping import load_mapping
from shopguide.display import create_app
from shopguide.errors import PackingError, SettingError, ShopguideError, SourceError, StateError, TokenError
from shopguide.kafka.messages import Message, Rows
from shopguide.keys import Secret
from shopguide.log import Log
from shopguide.networks.loading import load as load_network
from shopguide.push import Outbox
from shopguide.records import MAGIC, VERSION, Batch, Events, Names, pack, unpack
from shopguide.segment import FIELDS, PREFIX, frame
from shopguide.settings import Settings
from shopguide.settings import load as load_settings
from shopguide.tastes import Tastes
from shopguide.tastes.library import Library
from shopguide.tokens import KeyRing, mint, mint_admin, verify, verify_admin
from shopguide.weights import Weights

FOREIGN = b"""user = ["who.id", "@key"]\nitem = "lines.sku"\nid = "id"\nkind = "type"\nstock = "n"\neach = "lines"
[kinds]\nbuy = "purchase"\n[always]\nregion = "DE"\n[tombstone]\nop = "delete"\n"""
FOREIGN_MESSAGE = b'{"who": {"id": "u1"}, "lines": [{"sku": "a"}, {"sku": 7}], "id": "e", "type": "buy", "n": true}'
RAW_SECRET = os.environ.get("SHOPGUIDE_SECRET", "a secret of the parsers").encode()
SECRET = Secret(RAW_SECRET)
KEYS = KeyRing.of(SECRET)
MAPPING = b'user = "nr"\nseparator = ";"\ninterests = ["likes"]\nconsent = "ok"\n[profile]\nage = "age"\n'
COMBINED = b'1.2.3.4 - ann [10/Oct/2023:13:55:36 -0700] "GET /p/i1?q=tea HTTP/1.1" 200 7 "-" "Mozilla/5.0"\n'
JSON_LOG = b'{"time":"2023-10-10T13:55:36Z","remote_addr":"1.2.3.4","request":"GET /p/i1 HTTP/1.1","status":200}\n'
EVENTS = b'[{"user":"ann","item":"i1","kind":"view","time":1700000000,"device":"phone","id":"e1"}]'
POSTS = ("/v1/events", "/v1/identify", "/v1/visitor", "/v1/forget", "/v1/desk/pick", "/v1/desk/undo")
GETS = ("/v1/pixel.gif", "/v1/recommend", "/v1/why", "/v1/similar", "/v1/trending", "/v1/desk/live", "/v1/products")


class Parser(NamedTuple):
    read: Callable[[bytes], object]
    raises: tuple[type[Exception], ...]  # what it promises for bytes that are none of its own
    examples: tuple[bytes, ...]


class Door(MemoryLine):
    """A line whose tokens are real ones."""

    def verify(self, token: str) -> int:
        return verify(KEYS, token).user


class Http:
    """One request from bytes: the first says which, the next how it is packed; no answer may be the server's fault."""

    def __init__(self) -> None:
        self._app = create_app(Door(), Settings.model_validate({"http": {"max_body": LIMIT}}))

    def __call__(self, data: bytes) -> None:
        which, how, rest = data[0] if data else 0, data[1:2], data[2:]
        if which % 2:
            status = asyncio.run(self._asked("GET", GETS[which // 2 % len(GETS)], rest, b"", []))
        else:
            headers = [(b"content-encoding", b"gzip")] if how == b"z" else []
            status = asyncio.run(self._asked("POST", POSTS[which // 2 % len(POSTS)], b"", rest, headers))
        assert status < 500 or status == 503, (status, data)

    async def _asked(self, method: str, path: str, query: bytes, body: bytes, headers: list[Any]) -> int:
        said: list[int] = []
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query}
        scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http"}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                said.append(message["status"])

        await self._app(scope, receive, send)
        return said[0]


def read_message(data: bytes) -> None:
    """As a subscriber does."""
    _, message = wire.decode([b"token", data])
    Inbox(0.0).receive(message, 0.0)


def read_recommendation(data: bytes) -> None:
    """As the push server does with what comes at its intake."""
    Outbox(1).recommend(msgpack.unpackb(data), 1.0, data)
    lists.unpack(data)


def read_record_body(data: bytes) -> None:
    """A record whose checksum fits, whatever is in it."""
    unpack(msgpack.packb([MAGIC, VERSION, zlib.crc32(data), data]))


def read_foreign(data: bytes) -> None:
    """Rows, whatever is in the message: under a mapping, and encoded."""
    told = Foreign.model_validate(tomllib.loads(FOREIGN.decode())).rows(data, "k", 1_700_000_000.0)
    names = {name for one in told for name in one.fields}
    columns = {name: [one.fields.get(name) for one in told] for name in names}
    problems = {row: one.problem for row, one in enumerate(told) if one.problem}
    Encoder(SECRET, controls=True).encode(Chunk(len(told), columns, lambda row: data, problems))


def read_kafka(data: bytes) -> None:
    rows = Rows(Encoder(SECRET))
    rows.add(Message(0, 1.7e9, data[:4], data))
    rows.result()


def of_file(path: Path, read: Callable[[], object]) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        path.write_bytes(data)
        return read()

    return parse


def rows_of(source: str) -> Callable[[], None]:
    def read() -> None:
        encoder = Encoder(SECRET)
        for chunk in open_source(source).chunks():
            encoder.encode(chunk)

    return read


def log_at(folder: Path) -> Path:
    """A log with one segment, to be written over."""
    log = Log(folder, 1)
    log.append(0, Events(kind=[1, 1]), Names())
    log.close()
    return next(folder.rglob("*.seg"))


def read_log(folder: Path) -> None:
    """As a reader does, and as the process that goes on writing."""
    for readonly in (True, False):
        log, offset = Log(folder, 1, readonly=readonly), 0
        try:
            while batch := log.read(0, offset, 10):
                assert batch.last >= offset
                offset = batch.last + 1
        finally:
            log.close()


def control(folder: Path) -> Callable[[bytes], object]:
    verbs = {"forget": lambda user: {"forgot": user}, "look": lambda: {}}
    made = Control(folder, verbs)
    made._socket.close()  # what comes over it is given by hand
    return lambda data: [json.dumps(said) for said in made._answers(data)]


def empty_profiles() -> bytes:
    """Those of nobody, as training writes them."""
    shape = {"starts": np.zeros(1, np.int64)}
    library = {f: shape.get(f, np.zeros(0, np.int64)) for f in Library.__dataclass_fields__} | {"terms": ()}
    kept = set(Tastes.__dataclass_fields__) - {"half_life", "landmark", "read", "library", "version"}
    columns = {f: shape.get(f, np.zeros(0, np.int64)) for f in kept}
    return Tastes(1.0, 0.0, {0: 1}, Library(**library), **columns).packed()


def packed_arrays(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


RECEIPT = json.dumps(receipts.sign(SECRET, {"user": "ann", "rows": {"view": 1}, "time": 1.0})).encode()
BATCH = Batch(0, 0, 0, Events(kind=[1]), Names())
LIST = {"user": 1, "partition": 0, "offset": 0, "slot": "home", "about": "", "intent": 0.5, "causes": []}
LIST["times"] = {"event": 1.0, "logged": 1.0, "scored": 1.0}
WHY = {"pinned": True, "explored": False, "signal": b"\0", "because": bytes(8), "amount": bytes(8), "shared": bytes(4)}
LIST["items"] = [{"item": "a", "title": "Tea", "score": 1.0, "reasons": [], "why": WHY}]
SNAPSHOT = wire.dumps(wire.snapshot((1, 1), LIST, 1.0))
WEIGHTS = json.dumps({"format": 1, "linear": {"items": 1.0}, "trees": None, "trained": {}}).encode()
EMPTY_HEAD = FIELDS.pack(0, 0, 1, 0, -1)


def parsers(folder: Path) -> dict[str, Parser]:
    """By name. Files are written in the folder."""
    segment = log_at(folder / "log")
    artefacts = Artefacts(folder / "models")
    manifest = artefacts.write({"blend.json": b"{}"}, {"blend": {}}, {0: 1}, {}).path / "manifest.json"
    shot = folder / "shot"
    snapshot.write(shot, "score", {"a": np.arange(5), "b": np.zeros(2)})
    (folder / "map.toml").write_bytes(MAPPING)
    mapping, mapped, toml = load_mapping(folder / "map.toml"), folder / "mapped", folder / "any.toml"
    table, log, weights = folder / "table", folder / "access.log", folder / "weights.json"
    paper, secret = folder / "receipt.json", folder / "secret"
    secret.touch(mode=0o600)
    secret.write_bytes(RAW_SECRET)
    whole = frame(BATCH)[0]
    broken = PREFIX.pack(b"SGF1", zlib.crc32(EMPTY_HEAD)) + EMPTY_HEAD
    now = time.time()
    of_recommendation = (ValueError, KeyError, TypeError, AttributeError)
    return {
        "message": Parser(read_message, (PackingError, TokenError), (SNAPSHOT, wire.dumps(wire.error("no")))),
        "recommendation": Parser(read_recommendation, of_recommendation, (lists.pack(LIST),)),
        "token": Parser(lambda data: verify(KEYS, data), (TokenError,), (mint(KEYS, 7, 60, now).encode(),)),
        "admin's token": Parser(
            lambda data: verify_admin(KEYS, data.decode("latin-1")),
            (TokenError,),
            (mint_admin(KEYS, "Ada", 60).encode(),),
        ),
        "record": Parser(unpack, (PackingError,), (pack(BATCH),)),
        "record, checksum right": Parser(
            read_record_body, (PackingError,), (msgpack.unpackb(pack(BATCH))[3], msgpack.packb(["Slate", {}]))
        ),
        "log segment": Parser(
            of_file(segment, lambda: read_log(folder / "log")),
            (StateError,),
            (whole, whole + whole, broken, whole[:50]),
        ),
        "snapshot": Parser(of_file(shot, lambda: snapshot.read(shot, "score")), (StateError,), (shot.read_bytes(),)),
        "HTTP request": Parser(
            Http(),
            (),
            (
                b"\0-" + EVENTS,
                b"\0z" + gzip.compress(EVENTS),
                b"\2-" + orjson.dumps({"token": mint(KEYS, 7, 60), "user": "ann"}),
                b"\4-{}",
                b"\1-" + b"w=k&u=ann&i=i1&k=view",
                b"\3-" + b"token=" + mint(KEYS, 7, 60).encode() + b"&n=3&slot=home",
                b"\x08-" + orjson.dumps({"item": "i1", "op": "pin", "why": "x"}),
            ),
        ),
        "table": Parser(
            of_file(table, rows_of(f"file:{table}")),
            (SourceError,),
            (b"user,item,time\nann,i1,1700000000\n", EVENTS[1:-1] + b"\n", gzip.compress(b"user,item\na,b\n"), b"PAR1"),
        ),
        "access log": Parser(
            of_file(log, rows_of(f"file:{log}?format=access-log")), (SourceError,), (COMBINED, JSON_LOG)
        ),
        "address": Parser(without_addresses, (), (COMBINED, b"[2001:db8::1]:80 ::ffff:1.2.3.4")),
        "mapping": Parser(of_file(toml, lambda: load_mapping(toml)), (SettingError,), (MAPPING,)),
        "mapped file": Parser(
            of_file(mapped, lambda: [chunk.rows for chunk in MappedFiles([mapped], mapping).chunks()]),
            (SourceError,),
            (b"nr,likes,ok,age\n1,tea;mugs,yes,30\n", b'{"nr":1,"likes":["tea"],"ok":true,"age":30}\n'),
        ),
        "settings": Parser(
            of_file(toml, lambda: load_settings("shop", toml)), (SettingError,), (b"[rank]\nexplore = 0.05\n",)
        ),
        "Kafka message": Parser(read_kafka, (), (EVENTS, EVENTS[1:-1], pack(BATCH))),
        "foreign mapping": Parser(of_file(toml, lambda: load_foreign(toml)), (SettingError,), (FOREIGN,)),
        "foreign message": Parser(read_foreign, (), (FOREIGN_MESSAGE, b"[" + FOREIGN_MESSAGE + b"]")),
        "command": Parser(control(folder), (), (b'{"do": "forget", "user": "ann"}\n', b'{"do": "look"}\n')),
        "receipt": Parser(of_file(paper, lambda: verify_receipt(paper, folder)), (SourceError,), (RECEIPT,)),
        "manifest": Parser(
            of_file(manifest, lambda: artefacts.open(manifest.parent.name)), (StateError,), (manifest.read_bytes(),)
        ),
        "weights": Parser(
            of_file(weights, lambda: Blender(Weights.load(weights))), (SettingError, StateError), (WEIGHTS,)
        ),
        "profiles": Parser(Tastes.load, (StateError,), (empty_profiles(),)),
        "network's last layer": Parser(
            lambda data: load_network("rnn", {"rnn.npz": data, "rnn.onnx": b""}),
            (ShopguideError,),
            (packed_arrays(keys=np.zeros(1, "u8"), weights=np.zeros((1, 2), "f4"), bias=np.zeros(1, "f4")),),
        ),
    }


def changed(data: bytes, how: bytes) -> bytes:
    """An example as who knows the format sends it: a few bytes set, cut out, put in or repeated, as ``how`` says
    (5 bytes a change)."""
    found = bytearray(data)
    for at in range(0, len(how) - 4, 5):
        what, place, value = struct.unpack_from("<BHB", how, at)
        place %= len(found) + 1
        if what % 4 == 0 and place < len(found):
            found[place] = value
        elif what % 4 == 1:
            del found[place : place + 1 + value % 16]
        elif what % 4 == 2:
            found[place:place] = bytes([value]) * (1 + how[at + 4] % 40)
        else:
            found[place:place] = found[place : place + value]
    return bytes(found)


def attempt(parser: Parser, data: bytes) -> bool:
    """Whether the parser took the bytes; raises what it should not have raised."""
    try:
        parser.read(data)
    except parser.raises:
        return False
    return True
