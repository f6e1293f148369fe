"""push: every new list goes to those who look, over ZeroMQ. docs/protocol.md is the contract.

Its files: `intake` how bolts reach the server, `outbox` what each user was last sent, `watchers` whose tokens are live,
`waiters` who pulls, `bind` where it listens, `ended` which
connections are gone, `server` the sockets.
"""

from shopguide.push.intake import Intake
from shopguide.push.outbox import Outbox, next_epoch
from shopguide.push.server import PushServer
from shopguide.push.watchers import Watchers

__all__ = ["Intake", "Outbox", "PushServer", "Watchers", "next_epoch"]
