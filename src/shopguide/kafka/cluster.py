"""Where brokers are and how to get in: ``client=FILE`` of a SPEC names a file of librdkafka's properties.

    # KEY = VALUE a line, as other clients have them
    security.protocol = SASL_SSL
    sasl.mechanism = SCRAM-SHA-512
    sasl.username = shopguide
    sasl.password = …

They are read from a file, not from a SPEC or the environment: command lines and environments are shown to others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shopguide.errors import SettingError

# The rest is ours: what a client commits, begins at or waits for is part of what is promised.
WAYS_IN = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "socket.", "broker.address.", "client.dns.")
ALSO = ("client.rack", "connections.max.idle.ms", "api.version.request", "https.ca.location", "https.ca.pem")


@dataclass(frozen=True)
class Cluster:
    """``servers``: HOST:PORT, with commas between. ``properties`` are never shown: passwords are among them."""

    servers: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)


def cluster(servers: str, client: str) -> Cluster:
    """The brokers, with the properties in the file ``client``; empty: there are none.

    Raises SettingError, in one line that shows no value, where the file cannot be read or says what is ours to say.
    """
    if not client:
        return Cluster(servers)
    try:
        lines = Path(client).read_text().splitlines()
    except OSError as e:
        raise SettingError(f"client={client}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise SettingError(f"client={client} is no text in UTF-8") from None
    properties: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line[0] in "#!":
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or not equals:
            raise SettingError(f"client={client}, line {number}: should be KEY = VALUE")
        if not name.startswith(WAYS_IN) and name not in ALSO:
            allowed = ", ".join([f"{way}*" for way in WAYS_IN] + list(ALSO))
            raise SettingError(f"client={client}, line {number}: {name} is not for this file; it takes {allowed}")
        properties[name] = value
    return Cluster(servers, properties)
