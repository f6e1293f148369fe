"""What texts mean: keys of ids, times, numbers, kinds; each distinct text is worked out once."""

from __future__ import annotations

from collections.abc import Callable

from shopguide.collect.values import Cache, amount, epoch, id_text, kind_of, kind_or_control_of
from shopguide.keys import Secret, event_key, item_key


class Memory:
    """For all chunks of an encoder. ``controls``: rows may also alias, retract and forget."""

    def __init__(self, secret: Secret, controls: bool) -> None:
        self.users = Cache(_key_by(secret.user_key))
        self.guests = Cache(_key_by(lambda session: secret.user_key("anonymous:" + session)))
        self.sessions = Cache(_key_by(secret.session_key))
        self.times = Cache(epoch, limit=1 << 12)
        self.amounts = Cache(amount)
        self.kinds = Cache(kind_or_control_of if controls else kind_of, limit=1 << 12)


def _key_by(key: Callable[[str], int]) -> Callable[[str | None], int]:
    def work(text: str | None) -> int:
        usable = id_text(text)
        return key(usable) if usable else 0

    return work


item_key_of, event_key_of = _key_by(item_key), _key_by(event_key)
