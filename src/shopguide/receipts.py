"""Receipts: what was forgotten, signed, so that the shop can show later that it was.

A receipt is a JSON object; ``signature`` is the hex HMAC-SHA256, under the deployment's receipt key, of the object
without it, keys sorted, no spaces. Nothing of it is kept.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from shopguide.keys import Secret


def sign(secret: Secret, said: dict[str, Any]) -> dict[str, Any]:
    """The receipt that says so."""
    return {**said, "signature": _signature(secret, said)}


def verify(secret: Secret, receipt: dict[str, Any]) -> bool:
    """Whether this deployment signed exactly this receipt."""
    said = {name: value for name, value in receipt.items() if name != "signature"}
    given = receipt.get("signature")
    return isinstance(given, str) and hmac.compare_digest(
        _signature(secret, said).encode(), given.encode("utf-8", "replace")
    )


def _signature(secret: Secret, said: dict[str, Any]) -> str:
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(secret.receipt, canonical, "sha256").hexdigest()
