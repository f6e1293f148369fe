"""What goes over the wire: messages as dicts, frames as bytes. No sockets. docs/protocol.md says it byte by byte.

A message is two frames, [token, JSON]. Its types are ``snapshot`` (a whole list), ``diff`` (against the list of
``base``), ``heartbeat`` (the latest seq) and ``error`` (the answer to a request whose token is refused).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from shopguide.errors import GapError, PackingError, SettingError

__all__ = ["MAX_FRAME", "Item", "Message", "Packed", "Seq", "apply", "check", "decode", "dumps", "encode", "error"]
__all__ += ["gap_endpoint", "head", "heartbeat", "items_of", "pack_diff", "pack_snapshot", "seq_of", "snapshot"]

VERSION = 1
MAX_FRAME = 1024  # bytes; no frame that a client sends is longer
LARGEST = 2**53 - 1  # an integer that every JSON reader keeps exact

Message = dict[str, Any]
Item = dict[str, Any]
Seq = tuple[int, int]


def head(seq: Seq, recommendation: dict[str, Any], pushed: float) -> Message:
    """A snapshot of a recommendation, without its ``items``. ``pushed``: epoch s."""
    return {
        "v": VERSION,
        "type": "snapshot",
        "seq": list(seq),
        "slot": recommendation["slot"],
        "about": recommendation["about"],
        "intent": recommendation["intent"],
        "at": {"partition": recommendation["partition"], "offset": recommendation["offset"]},
        "times": {**recommendation["times"], "pushed": pushed},
    }


def snapshot(seq: Seq, recommendation: dict[str, Any], pushed: float) -> Message:
    """A recommendation as a message; the ``why`` of its items stays here."""
    items = [{name: item[name] for name in item if name != "why"} for item in recommendation["items"]]
    return {**head(seq, recommendation, pushed), "items": items}


Packed = dict[str, bytes]  # id of an item: its JSON, best first


def items_of(names: list[str], items: list[bytes]) -> Packed:
    """Items of a packed list (shopguide.lists): their ids, and each as JSON. Raises PackingError where one is none, or
    is there twice."""
    if not isinstance(items, list) or not _order(names) or len(items) != len(names) or not all(map(_like_item, items)):
        raise PackingError(f"snapshot message with items = {str(names)[:60]}")
    return dict(zip(names, items, strict=True))


def pack_snapshot(head: Message, items: Packed) -> bytes:
    """A snapshot message, by its :func:`head`. It is :func:`dumps` of :func:`snapshot`, each item made once only."""
    return b'%b,"items":[%b]}' % (orjson.dumps(head)[:-1], b",".join(items.values()))


def pack_diff(head: Message, items: Packed, base: int, old: Packed) -> bytes:
    """The same snapshot as what changes in the list ``old``, whose n is ``base``."""
    message = {**head, "type": "diff", "base": base, "order": list(items)}
    put = b",".join(b"%b:%b" % (orjson.dumps(name), one) for name, one in items.items() if old.get(name) != one)
    return b'%b,"put":{%b}}' % (orjson.dumps(message)[:-1], put)


def heartbeat(seq: Seq, pushed: float) -> Message:
    """Nothing new: ``seq`` is that of the user's newest list; n 0: there is none yet."""
    return {"v": VERSION, "type": "heartbeat", "seq": list(seq), "times": {"pushed": pushed}}


def error(text: str) -> Message:
    """Why a token is refused."""
    return {"v": VERSION, "type": "error", "error": text}


def seq_of(message: Message) -> Seq:
    epoch, n = message["seq"]
    return epoch, n


def apply(have: Seq | None, old: list[Item], message: Message) -> list[Item]:
    """The list after a snapshot or a diff; ``old`` is the list of ``have`` and stays as it is.

    Raises GapError where the diff is against another list.
    """
    if message["type"] == "snapshot":
        return list(message["items"])
    base = (message["seq"][0], message["base"])
    had = {item["item"]: item for item in old}
    put = message["put"]
    if have != base or not all(name in put or name in had for name in message["order"]):
        raise GapError(f"a diff against {base} where the list is that of {have}")
    return [put.get(name) or had[name] for name in message["order"]]


def dumps(message: Message) -> bytes:
    """The message as JSON."""
    return orjson.dumps(message)


def encode(token: bytes, message: Message) -> list[bytes]:
    """The two frames of a message to a token."""
    return [token, dumps(message)]


def decode(frames: Sequence[bytes]) -> tuple[bytes, Message]:
    """(token, message). Members that are not known are kept; a reader passes over them.

    Raises PackingError, and nothing else, for frames that are no message of version 1.
    """
    if len(frames) != 2:
        raise PackingError(f"a message has 2 frames, not {len(frames)}")
    token, body = frames
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise PackingError(f"no JSON: {e}") from None
    check(message)
    return token, message


def check(message: Any) -> None:
    """Raises PackingError where it is no message of version 1."""
    if not isinstance(message, dict):
        raise PackingError("no JSON object")
    if not _count(message.get("v")) or message["v"] != VERSION:
        raise PackingError(f"message of version {message.get('v')!r}; this program reads version {VERSION}")
    members = _MEMBERS.get(message["type"]) if isinstance(message.get("type"), str) else None
    if members is None:
        raise PackingError(f"message of unknown type {message.get('type')!r}")
    for name, holds in members.items():
        if name not in message:
            raise PackingError(f"{message['type']} message without {name}")
        if not holds(message[name]):
            raise PackingError(f"{message['type']} message with {name} = {str(message[name])[:60]}")


def gap_endpoint(endpoint: str) -> str:
    """Where gaps are asked, given where messages come from: one port above; for ipc the path with ``-gap`` behind.

    Raises SettingError for an endpoint without a port.
    """
    transport, _, address = endpoint.partition("://")
    if transport == "ipc" and address:
        return endpoint + "-gap"
    host, _, port = address.rpartition(":")
    if transport != "tcp" or not host or not port.isdecimal() or not 0 < int(port) < 65535:
        raise SettingError(f"endpoint = {endpoint!r}: should be tcp://HOST:PORT (PORT below 65535) or ipc://PATH")
    return f"tcp://{host}:{int(port) + 1}"


Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _seq(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_count, value))


def _reasons(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    for reason in value:
        if not isinstance(reason, dict) or not _number(reason.get("share")):
            return False
        if not isinstance(reason.get("text"), str) or not isinstance(reason.get("because"), str):
            return False
    return True


def _item(value: Any) -> bool:
    if not isinstance(value, dict) or not _number(value.get("score")) or not _reasons(value.get("reasons")):
        return False
    return isinstance(value.get("item"), str) and isinstance(value.get("title"), str)


def _like_item(value: Any) -> bool:
    """Whether this can be the JSON of an item."""
    return isinstance(value, bytes) and value.startswith(b'{"item":"') and value.endswith(b"}")


def _items(value: Any) -> bool:
    return isinstance(value, list) and all(map(_item, value)) and _distinct([item["item"] for item in value])


def _order(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value)) and _distinct(value)


def _distinct(names: list[str]) -> bool:
    return len(set(names)) == len(names)


def _put(value: Any) -> bool:
    return isinstance(value, dict) and all(_item(item) and item["item"] == name for name, item in value.items())


def _at(value: Any) -> bool:
    return isinstance(value, dict) and all(_count(value.get(name)) for name in ("partition", "offset"))


def _times(*names: str) -> Check:
    return lambda value: isinstance(value, dict) and all(_number(value.get(name)) for name in names)


_LIST: dict[str, Check] = {
    "seq": _seq,
    "slot": _text,
    "about": _text,
    "intent": _number,
    "at": _at,
    "times": _times("event", "logged", "scored", "pushed"),
}
_MEMBERS: dict[str, dict[str, Check]] = {
    "snapshot": {**_LIST, "items": _items},
    "diff": {**_LIST, "base": _count, "order": _order, "put": _put},
    "heartbeat": {"seq": _seq, "times": _times("pushed")},
    "error": {"error": _text},
}
