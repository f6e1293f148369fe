"""push: every new list goes to those who look, over ZeroMQ. docs/protocol.md is the contract.

Its files: `intake` how bolts reach the server, `outbox` what each user was last sent, `guard` which tokens are good,
`watchers` whose are live, `beats` whose heartbeat is due, `doors` who comes in (`bind` where, `curve` by which key,
`room` if there is any), `gaps` who missed a message, `poll` which sockets can be read, `server` the loop over them. A
line has it as a `process`, of which `child` is the inside and `channel` the way in; `waiters` are who pulls.
"""

from shopguide.push.guard import Guard
from shopguide.push.intake import Intake
from shopguide.push.outbox import Outbox, next_epoch
from shopguide.push.process import PushProcess
from shopguide.push.server import PushServer
from shopguide.push.watchers import Watchers

__all__ = ["Guard", "Intake", "Outbox", "PushProcess", "PushServer", "Watchers", "next_epoch"]
