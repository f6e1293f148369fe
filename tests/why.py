"""Why an item is in a list that a test makes by hand: one part, of what is popular."""

POPULAR = {
    "pinned": False,
    "explored": False,
    "signal": b"\x0b",
    "because": bytes(8),
    "amount": bytes(8),
    "shared": bytes(4),
}
