"""The desk's page and routes, for experts with an admin's token. docs/protocol.md describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from shopguide.display.answers import answer
from shopguide.display.body import MAX_ID, MAX_N, SLOT, read_json
from shopguide.display.line import Desk, Line
from shopguide.errors import TokenError

PAGE = Path(__file__).with_name("static") / "desk.html"
MOST = 1 << 14  # bytes of a body
LATEST = 32_503_680_000.0  # epoch seconds: the year 3000
FOUND = 10  # products that a search names

Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Slot = Annotated[str, StringConstraints(pattern=rf"^(?:{SLOT.pattern})?$")]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class WantedPick(Asked):
    """A pick of one item, or of all of a category. What is left out is everything: all slots, everybody, always."""

    action: Literal["pin", "boost", "bury", "block"]
    item: str = Field("", max_length=MAX_ID)
    category: str = Field("", max_length=MAX_ID)
    slot: Slot = ""
    position: int = Field(1, ge=1, le=MAX_N)
    segment: Literal["", "new", "returning", "buyers"] = ""
    begins: float = Field(0, alias="from", ge=0, le=LATEST)
    until: float = Field(0, ge=0, le=LATEST)
    why: Why

    @model_validator(mode="after")
    def _of_one_thing(self) -> WantedPick:
        if bool(self.item) == bool(self.category):
            raise ValueError("a pick of either an item or a category")
        if self.action == "pin" and self.category:
            raise ValueError("a pin is of an item")
        if self.until and self.until <= self.begins:
            raise ValueError("until should be after from")
        return self

    def details(self) -> dict[str, Any]:
        """As a PICK row says it, without what is left out."""
        given = {"slot": self.slot, "segment": self.segment, "from": self.begins, "until": self.until}
        place = {"position": self.position} if self.action == "pin" else {}
        target = {"action": self.action, "item": self.item, "category": self.category}
        return {**target, "why": self.why, **place, **{name: value for name, value in given.items() if value}}


class WantedUndo(Asked):
    id: str = Field(min_length=1, max_length=64)
    why: Why


class WantedUser(Asked):
    user: str = Field(min_length=1, max_length=MAX_ID)
    why: Why
    slot: Annotated[str, StringConstraints(pattern=rf"^{SLOT.pattern}$")] = "home"
    n: int = Field(20, ge=1, le=MAX_N)


A = TypeVar("A", bound=Asked)


class DeskApi:
    """Handlers over one line's desk."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/desk", self.page),
            Route("/v1/desk/live", self.live),
            Route("/v1/desk/products", self.products),
            Route("/v1/desk/picks", self.picks),
            Route("/v1/desk/audit", self.audit),
            Route("/v1/desk/pick", self.pick, methods=["POST"]),
            Route("/v1/desk/undo", self.undo, methods=["POST"]),
            Route("/v1/desk/lookup", self.look_up, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """The desk. It holds nothing until it is given a token."""
        return FileResponse(PAGE)

    async def live(self, request: Request) -> Response:
        """Rates, delays, rejects, and what comes of lists, now."""
        desk, by = self._admitted(request)
        return answer({"by": by, **desk.live()})

    async def products(self, request: Request) -> Response:
        """Products whose title or id has the words of ``?q=``, and the names of all categories."""
        desk, _ = self._admitted(request)
        return answer(await desk.products(request.query_params.get("q", "")[:MAX_ID], FOUND))

    async def picks(self, request: Request) -> Response:
        """The picks that nothing undoes, the newest first."""
        desk, _ = self._admitted(request)
        return answer({"picks": await desk.picks()})

    async def audit(self, request: Request) -> Response:
        """Who did what, when and why, the newest first."""
        desk, _ = self._admitted(request)
        return answer({"entries": await desk.audit()})

    async def pick(self, request: Request) -> Response:
        """Pin, boost, bury or block."""
        desk, by = self._admitted(request)
        wanted = await _asked(request, WantedPick)
        return answer(await desk.pick(by, **wanted.details()), 201)

    async def undo(self, request: Request) -> Response:
        """Undo a pick, or an undo."""
        desk, by = self._admitted(request)
        wanted = await _asked(request, WantedUndo)
        return answer(await desk.undo(by, wanted.id, wanted.why), 201)

    async def look_up(self, request: Request) -> Response:
        """What is held of a user, and why each item is in their list. It is written to the audit log first."""
        desk, by = self._admitted(request)
        wanted = await _asked(request, WantedUser)
        return answer(await desk.look_up(by, wanted.user, wanted.why, wanted.slot, wanted.n))

    def _admitted(self, request: Request) -> tuple[Desk, str]:
        """The desk, and whose the admin's token is. In a header only: an address would end in logs and histories."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenError("no admin's token: send it as 'Authorization: Bearer …'")
        return self.line.desk, self.line.desk.admit(token.strip())


async def _asked(request: Request, kind: type[A]) -> A:
    """Raises HTTPException 400, naming the member, the value and what is allowed."""
    body = await read_json(request, MOST)
    if not isinstance(body, dict):
        raise HTTPException(400, "the body should be an object")
    try:
        return kind.model_validate(body)
    except ValidationError as e:
        error = e.errors()[0]
        name = ".".join(str(part) for part in error["loc"])
        said = f"{name} = {error['input']!r:.80}: " if name else ""
        raise HTTPException(400, said + error["msg"].removeprefix("Value error, ")) from None
