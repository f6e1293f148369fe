"""Where a visitor came from, cut: no row that leaves a reader of access logs, a rejected one neither, has a whole
address."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

HOST = re.compile(r"[\w.:%-]+", re.ASCII)
NAMED = re.compile(r"(?:[\w-]+\.)*[a-z]+", re.I | re.ASCII)
V4 = re.compile(r"(?<!\d)(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}(?!\d)", re.ASCII)
V6 = re.compile(r"[0-9a-f:.]{3,}", re.I)  # or some other text of its characters
MOMENT = re.compile(r"\d{4}:\d\d:\d\d:\d\d", re.ASCII)
V6_KEPT = ((1 << 48) - 1) << 80


def network(host: str | None) -> str:
    """What is kept of where a visitor came from: an IPv4 address without its last octet, an IPv6 address without its
    last 80 bits, of a host's name at most the last two labels and never the first of several; ``-`` where it is none
    of these."""
    host = host or ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        labels = host.split(".") if NAMED.fullmatch(host) else ["-"]
        return ".".join(labels[1:][-2:]) or labels[0]
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    kept = int(address) & (0xFFFFFF00 if isinstance(address, IPv4Address) else V6_KEPT)
    return str(type(address)(kept))


def without_addresses(line: bytes) -> bytes:
    """A line with the visitor's host, its first word, cut as in ``network``, and so all addresses elsewhere in it."""
    text = line.decode("latin-1")
    host = HOST.match(text)
    begin = host.end() if host and text[host.end() : host.end() + 1].strip() == "" else 0
    rest = V6.sub(_cut, V4.sub(r"\1.0", text[begin:]))
    return ((network(text[:begin]) if begin else "") + rest).encode("latin-1")


def _cut(found: re.Match[str]) -> str:
    """What is kept of a text of an IPv6 address's characters: all, where it is none nor the beginning of one; else
    three groups of digits."""
    text = found[0]
    if MOMENT.fullmatch(text) or ("::" not in text and text.count(":") < 3):
        return text
    return ":".join(text.lstrip(":").partition("::")[0].split(":")[:3]) + "::"
