"""display: what people see. One ASGI app over a running line: collect, lists by SSE and pull, why, and the demo shop.

Its files: `line` what it needs from the line; `collecting` what comes in, `entrance`, `origins` and `limits` who may
bring it, `said` what it says as rows, `doubles` what came before; `body` how requests are read, `answers` what goes
back, `stream` server-sent events, `vitals` what operators look at, `routes` the HTTP interface, `app` how they are put
together and served; `static/` is the demo shop, and for shops' own pages `sg.js` and the widget, `sg-widget.js`.
"""

from shopguide.display.app import Server, create_app
from shopguide.display.line import Line, Receipt

__all__ = ["Line", "Receipt", "Server", "create_app"]
