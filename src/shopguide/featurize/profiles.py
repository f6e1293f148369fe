"""The imported profiles of the shoppers of a partition."""

from __future__ import annotations

import msgpack
import numpy as np
from numpy.typing import NDArray

from shopguide.profile import NOTHING, Profile
from shopguide.records import Events, Kind


class Profiles:
    def __init__(self) -> None:
        self.by_user: dict[int, Profile] = {}

    @property
    def users(self) -> NDArray[np.uint64]:
        """Who has one."""
        return np.fromiter(self.by_user, np.uint64, len(self.by_user))

    def of(self, user: int) -> Profile:
        return self.by_user.get(user, NOTHING)

    def learn(self, events: Events) -> None:
        """What PROFILE rows say, in order."""
        for row in np.flatnonzero(events.kind == Kind.PROFILE).tolist() if Kind.PROFILE in events.kinds else ():
            user = int(events.user[row])
            self.by_user[user] = self.of(user).told(events.details(row))

    def pop(self, user: int) -> Profile:
        """The profile of a user who has none any more."""
        return self.by_user.pop(user, NOTHING)

    def dump(self) -> NDArray[np.uint8]:
        said = [(user, one.attributes, one.interests) for user, one in self.by_user.items()]
        return np.frombuffer(msgpack.packb(said), np.uint8)

    @staticmethod
    def users_in(state: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Who has one, as :meth:`dump` says; the profiles are passed over. Raises ValueError, TypeError or
        msgpack.UnpackException for what is no state."""
        said = msgpack.Unpacker(max_buffer_size=0)
        said.feed(state)
        users = np.empty(said.read_array_header(), np.uint64)
        for at in range(len(users)):
            fields = said.read_array_header()
            users[at] = said.unpack()
            for _ in range(fields - 1):
                said.skip()
        return users

    def load(self, state: NDArray[np.uint8]) -> None:
        """Raises ValueError or TypeError for what is no state."""
        said = msgpack.unpackb(state.tobytes(), strict_map_key=True)
        self.by_user = {user: Profile(attributes, tuple(interests)) for user, attributes, interests in said}
