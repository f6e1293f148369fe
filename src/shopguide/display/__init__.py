"""display: what people see. One ASGI app over a running line: collect, lists by SSE and pull, why, and the demo shop.

Its files: `line` what it needs from the line, `body` how it reads requests, `stream` server-sent events, `routes` the
HTTP interface, `app` how they are put together and served; `static/` is the demo shop.
"""

from shopguide.display.app import Server, create_app
from shopguide.display.line import Line, Receipt

__all__ = ["Line", "Receipt", "Server", "create_app"]
