"""The HTTP interface over a small in-memory line, through a real uvicorn on a random port."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from memory_line import LIMIT, LIST, MemoryLine, serving

from shopguide.display import Server, create_app
from shopguide.errors import SettingError, StateError
from shopguide.settings import Settings


@pytest.fixture
def line() -> MemoryLine:
    return MemoryLine()


@pytest.fixture
async def client(line: MemoryLine) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(line) as (_, client):
        yield client


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def frames(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Parsed SSE frames; a comment is {"": text}."""
    frame: dict[str, str] = {}
    async for text in response.aiter_lines():
        if text:
            field, _, value = text.partition(": ")
            frame[field.removesuffix(":")] = value
        elif frame:
            yield frame
            frame = {}


class TestEvents:
    async def test_answers_only_after_durable(self, client, line):
        answer = await client.post("/v1/events", json={"user": "u", "item": "i1", "kind": "view"})
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "refused": 0})
        assert line.groups == [[1]]
        assert json.loads(line.raw[0]) == line.rows[0] == {"user": "u", "item": "i1", "kind": "view"}

    async def test_arrays_gzip_and_refusals(self, client, line):
        rows = [{"user": "u", "item": "i1"}, {"user": "u", "item": "i2", "consent": False}]
        body = gzip.compress(json.dumps(rows).encode())
        answer = await client.post("/v1/events", content=body, headers={"content-encoding": "gzip"})
        assert (answer.status_code, answer.json()) == (
            202,
            {"accepted": 1, "refused": 1, "reasons": {"no consent": 1}},
        )
        assert (await client.post("/v1/events", json=[])).json() == {"accepted": 0, "refused": 0}

    async def test_rubbish_rows_are_data(self, client, line):
        answer = await client.post("/v1/events", content=b'[5, null, "x", {"user": 7, "item": []}]')
        assert answer.json() == {"accepted": 4, "refused": 0}
        assert line.rows == [{}, {}, {}, {"user": 7, "item": []}]

    @pytest.mark.parametrize(
        ("body", "headers", "status", "words"),
        [
            (b"{", {}, 400, "malformed JSON"),
            (b"", {}, 400, "malformed JSON"),
            (b"\xff\xfe", {}, 400, "malformed JSON"),
            (b"[" * 3000, {}, 400, "malformed JSON"),
            (b"5", {}, 400, "array of events"),
            (b'{"token": "t", "events": 5}', {}, 400, "array of events"),
            (b"nonsense", {"content-encoding": "gzip"}, 400, "malformed gzip"),
            (gzip.compress(b"[]", mtime=0)[:-4], {"content-encoding": "gzip"}, 400, "malformed gzip"),
            (gzip.compress(b"[]", mtime=0) * 2, {"content-encoding": "gzip"}, 400, "malformed gzip"),
            (b"[]", {"content-encoding": "br"}, 415, "gzip"),
            (b" " * (LIMIT + 1), {}, 413, str(LIMIT)),
            (gzip.compress(b" " * 1_000_000, mtime=0), {"content-encoding": "gzip"}, 413, str(LIMIT)),
        ],
    )
    async def test_bad_bodies_get_one_line(self, client, line, body, headers, status, words):
        answer = await client.post("/v1/events", content=body, headers=headers)
        assert answer.status_code == status
        assert words in answer.json()["error"]
        assert "\n" not in answer.json()["error"]
        assert line.rows == []

    async def test_a_chunked_body_is_limited_too(self, client):
        async def chunks():
            for _ in range(LIMIT // 512 + 1):
                yield b" " * 512

        assert (await client.post("/v1/events", content=chunks())).status_code == 413

    async def test_of_a_visitor_are_the_tokens_users(self, client, line):
        token = line.mint("ann")
        rows = [{"item": "i1"}, {"item": "i2", "user": "bob", "user_key": 1, "time": 5, "kind": "cart", "price": 0.01}]
        before = time.time()
        answer = await client.post("/v1/events", json={"token": token, "events": rows})
        assert answer.json() == {"accepted": 2, "refused": 0}
        assert [row["user_key"] for row in line.rows] == [line.verify(token)] * 2
        assert all(row["time"] >= before for row in line.rows)
        assert [row.keys() - {"user_key", "time"} for row in line.rows] == [{"item"}, {"item", "kind"}]
        assert all(token.encode() not in raw and b"user_key" not in raw for raw in line.raw)

    @pytest.mark.parametrize("kind", ["forget", "PICK", "activate", "item", "alias", 13, None, ["view"]])
    async def test_of_a_visitor_control_nothing(self, client, line, kind):
        bearer = {"authorization": f"Bearer {line.mint('ann')}"}
        answer = await client.post("/v1/events", json=[{"item": "i1", "kind": kind}], headers=bearer)
        said = {"accepted": 0, "refused": 1, "reasons": {"kind is not a visitor's": 1}}
        assert (answer.json(), line.rows) == (said, [])

    @pytest.mark.parametrize("name", ["user_key", "User_Key", " USER_KEY "])
    async def test_of_the_shop_never_name_keys(self, client, line, name):
        await client.post("/v1/events", json={name: 5, "item": "i1"})
        assert line.rows == [{"item": "i1"}]

    async def test_other_sites_need_a_token(self, line):
        async with serving(line, origins=["https://elsewhere.example"]) as (_, client):
            elsewhere = {"origin": "https://elsewhere.example"}
            assert (await client.post("/v1/events", json=[], headers=elsewhere)).status_code == 403
            body = {"token": line.mint("ann"), "events": [{"item": "i1"}]}
            assert (await client.post("/v1/events", json=body, headers=elsewhere)).status_code == 202
            same = {"origin": str(client.base_url)}
            assert (await client.post("/v1/events", json=[], headers=same)).status_code == 202

    async def test_a_line_that_cannot_is_503(self, client, line):
        line.broken = StateError("the log's disk is full")
        answer = await client.post("/v1/events", json=[{"user": "u", "item": "i"}])
        assert (answer.status_code, answer.json()) == (503, {"error": "the log's disk is full"})


class TestTokens:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/v1/stream?"),
            ("GET", "/v1/recommend?"),
            ("GET", "/v1/why?item=i1&"),
            ("POST", "/v1/events?"),
            ("POST", "/v1/dismiss?"),
        ],
    )
    async def test_missing_forged_expired_are_401(self, client, line, method, path):
        body = {"json": {"item": "i1", "events": []}} if method == "POST" else {}
        for token in ("", "token=", "token=nonsense", f"token={line.mint('ann', ttl=-1)}"):
            answer = await client.request(method, path + token, **body)
            assert answer.status_code == 401, (path, token)
            assert list(answer.json()) == ["error"]
            assert answer.headers["www-authenticate"] == "Bearer"
        assert line.rows == []
        assert line.lists == {}

    async def test_come_as_bearer_query_or_body(self, client, line):
        token = line.mint("ann")
        bearer = {"authorization": f"Bearer {token}"}
        assert (await client.get("/v1/recommend", headers=bearer)).status_code == 200
        assert (await client.get("/v1/recommend", params={"token": token})).status_code == 200
        assert (await client.post("/v1/dismiss", json={"token": token, "item": "i1"})).status_code == 202
        assert (await client.post("/v1/dismiss", json={"token": 5, "item": "i1"})).status_code == 401

    async def test_each_visitor_is_another(self, client, line):
        first, second = [(await client.post("/v1/visitor")).json() for _ in range(2)]
        assert first["user"].startswith("guest-")
        assert first["user"] != second["user"]
        assert line.verify(first["token"]) != line.verify(second["token"])
        assert first["expires"] > time.time()

    async def test_are_renewed_for_their_holder_only(self, client, line):
        ann = (await client.post("/v1/visitor")).json()
        renewed = (await client.post("/v1/visitor", json={"user": ann["user"], "token": ann["token"]})).json()
        assert line.verify(renewed["token"]) == line.verify(ann["token"])
        thief = {"user": ann["user"], "token": line.mint("bob")}
        for body in (thief, {"user": ann["user"]}, {**ann, "token": line.mint(ann["user"], ttl=-1)}):
            assert (await client.post("/v1/visitor", json=body)).status_code == 401
        assert (await client.post("/v1/visitor", json=[])).status_code == 400
        assert (await client.post("/v1/visitor", json={"user": 5, "token": "x"})).status_code == 400


class TestStream:
    async def test_snapshot_then_lists(self, client, line):
        token = line.mint("ann")
        async with client.stream("GET", "/v1/stream", params={"token": token}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            received = frames(response)
            assert await anext(received) == {"retry": "1000", "event": "heartbeat", "data": "5"}
            assert await anext(received) == {"id": "1-1", "event": "list", "data": json.dumps(LIST)}
            await line.lists[token].put(("1-2", "{}"))
            assert await anext(received) == {"id": "1-2", "event": "list", "data": "{}"}
            await line.lists[token].put(None)  # the token's end
            assert [frame async for frame in received] == []
        await until(lambda: line.closed == 1)

    async def test_a_slot_is_the_lines_to_heed(self, client, line):
        for asked, slot in (({}, None), ({"slot": "cart"}, "cart")):
            async with client.stream("GET", "/v1/stream", params={"token": line.mint("ann"), **asked}):
                assert line.slots[-1] == slot
        answer = await client.get("/v1/stream", params={"token": line.mint("ann"), "slot": "Cart!"})
        assert answer.status_code == 400

    async def test_what_the_client_has_is_not_sent_again(self, client, line):
        token = line.mint("ann")
        for last, first in (("1-1", "1-2"), ("1-0", "1-1")):
            headers = {"last-event-id": last, "authorization": f"Bearer {token}"}
            async with client.stream("GET", "/v1/stream", headers=headers) as response:
                received = frames(response)
                await anext(received)
                await line.lists[token].put(("1-2", "{}"))
                assert (await anext(received))["id"] == first
            await until(lambda: not line.lists)

    async def test_a_quiet_one_is_kept_alive(self, line):
        async with (
            serving(line, heartbeat=0.02) as (_, client),
            client.stream("GET", "/v1/stream", params={"token": line.mint("ann")}) as response,
        ):
            received = frames(response)
            await anext(received), await anext(received)
            assert await anext(received) == {"event": "heartbeat", "data": "0.02"}
            assert await anext(received) == {"event": "heartbeat", "data": "0.02"}
            await next(iter(line.lists.values())).put(("1-2", "{}"))
            assert {"id": "1-2", "event": "list", "data": "{}"} in [await anext(received) for _ in range(2)]

    async def test_ends_when_the_client_goes(self, client, line):
        async with client.stream("GET", "/v1/stream", params={"token": line.mint("ann")}) as response:
            await anext(frames(response))
            assert (await client.get("/healthz")).json()["streams"] == 1
        await until(lambda: line.closed == 1)
        assert (await client.get("/healthz")).json()["streams"] == 0

    async def test_ends_at_shutdown(self, line):
        async with (
            serving(line) as (server, client),
            client.stream("GET", "/v1/stream", params={"token": line.mint("ann")}) as response,
        ):
            received = frames(response)
            await anext(received), await anext(received)
            server.should_exit = True
            async with asyncio.timeout(4):
                assert [frame async for frame in received] == []
        assert line.closed == 1

    async def test_head_opens_nothing(self, client, line):
        answer = await client.head("/v1/stream", params={"token": line.mint("ann")})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert line.closed == 0


class TestQuestions:
    async def test_recommend(self, client, line):
        asked = {"token": line.mint("ann"), "n": 3, "slot": "cart"}
        answer = await client.get("/v1/recommend", params=asked)
        assert (answer.json()["slot"], len(answer.json()["items"])) == ("cart", 3)
        assert answer.headers["cache-control"] == "no-store"
        line.silent = True
        answer = await client.get("/v1/recommend", params=asked)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    @pytest.mark.parametrize("wrong", [{"n": n} for n in ("0", "101", "-1", "1.5", "x", "", "٣")] + [{"slot": "A b"}])
    async def test_wrong_parameters_are_400(self, client, line, wrong):
        answer = await client.get("/v1/recommend", params={"token": line.mint("ann"), **wrong})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(next(iter(wrong)))

    async def test_why(self, client, line):
        token = line.mint("ann")
        assert (await client.get("/v1/why", params={"token": token, "item": "i1"})).json()["score"] == 1.0
        assert (await client.get("/v1/why", params={"token": token, "item": "i9"})).status_code == 404
        assert (await client.get("/v1/why", params={"token": token})).status_code == 400

    async def test_dismiss(self, client, line):
        token = line.mint("ann")
        answer = await client.post("/v1/dismiss", json={"token": token, "item": "i1"})
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "refused": 0})
        (row,) = line.rows
        assert (row["kind"], row["item"], row["user_key"]) == ("dismiss", "i1", line.verify(token))
        assert line.groups == [[1]]
        for item in ("", 5, "x" * 513):
            assert (await client.post("/v1/dismiss", json={"token": token, "item": item})).status_code == 400

    async def test_without_a_user(self, client):
        assert (await client.get("/v1/similar?item=i1")).json() == {"items": [{"item": "i2"}]}
        assert (await client.get("/v1/similar?item=i9")).status_code == 404
        assert (await client.get("/v1/similar")).status_code == 400
        assert (await client.get("/v1/trending")).json()["category"] is None
        assert (await client.get("/v1/trending?category=shoes")).json()["category"] == "shoes"
        assert (await client.get("/v1/trending?category=x")).json()["items"] == []
        assert (await client.get("/v1/trending?category=")).status_code == 400

    async def test_a_question_that_is_not_answered_in_time_may_be_asked_again(self, client, line):
        line.silent = True
        for path in ("/v1/similar?item=i1", "/v1/trending", "/v1/trending?category=shoes"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


class TestPages:
    async def test_the_shop_where_there_are_products(self, client, line):
        bare = await client.get("/")
        line.catalogue = [{"item": "i1", "title": "One"}]
        shop = await client.get("/")
        assert 'data-testid="for-you"' in shop.text
        assert 'data-testid="for-you"' not in bare.text
        products = await client.get("/v1/products")
        assert products.json() == line.catalogue
        again = await client.get("/v1/products", headers={"if-none-match": products.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")

    async def test_all_that_the_page_names_is_there(self, client, line):
        line.catalogue = [{"item": "i1"}]
        page = (await client.get("/")).text
        named = [part.split('"')[0] for part in page.split('="/')[1:]]
        assert any(path.endswith(".css") for path in named)
        assert any(path.endswith(".js") for path in named)
        for path in [*named, "favicon.ico"]:
            assert (await client.get(f"/{path}")).status_code == 200, path

    async def test_run_no_inline_script(self, client, line):
        line.catalogue = [{"item": "i1"}]
        answer = await client.get("/")
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "<script>" not in answer.text
        assert "style=" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"

    async def test_health(self, client, line):
        assert (await client.get("/healthz")).json() == {
            "status": "ok", "streams": 0, "refused": {}, "events": 0, "rejected": 0, "watched": 0,
            "events_per_second": 0.0, "checks": {"line": {"ok": True, "said": "works"}},
        }  # fmt: skip
        line.stuck = "it hangs"
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()) == (
            503,
            {"status": "failing", "checks": {"line": {"ok": False, "said": "it hangs"}}, "streams": 0, "refused": {}},
        )

    async def test_readiness(self, client, line):
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"], list(answer.json()["checks"])) == (
            200,
            "ok",
            ["line", "disk"],
        )
        line.too_much = "no room"
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["disk"]) == (503, {"ok": False, "said": "no room"})
        assert (await client.get("/healthz")).status_code == 200

    async def test_numbers(self, client, line):
        assert "shopguide_watched_users 0.0" in (await client.get("/metrics")).text
        assert (await client.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"})).status_code == 404
        async with serving(line, metrics="off") as (_, other):
            assert (await other.get("/metrics")).status_code == 404

    @pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/static/nothing.js", "/static/..%2fapp.py"])
    async def test_unknown_is_a_404_line(self, client, path):
        answer = await client.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])

    async def test_methods(self, client):
        wrong = await client.get("/v1/events")
        assert (wrong.status_code, wrong.headers["allow"], list(wrong.json())) == (405, "POST", ["error"])
        asked = await client.options("/v1/events")
        assert (asked.status_code, asked.headers["allow"]) == (204, "OPTIONS, POST")
        assert (await client.options("/static/shop.css")).headers["allow"] == "GET, HEAD, OPTIONS"
        assert (await client.options("/nothing")).status_code == 404
        assert "access-control-allow-origin" not in (await client.get("/")).headers
        head = await client.head("/healthz")
        assert (head.status_code, head.content) == (200, b"")

    async def test_an_address_in_use_is_one_line(self, line):
        async with serving(line) as (server, _):
            settings = Settings.model_validate({"http": {"port": server.port}})
            with pytest.raises(SettingError, match=f"127.0.0.1:{server.port}"):
                Server(create_app(line, settings), settings)

    @pytest.mark.parametrize(("method", "path"), [("GET", "/healthz"), ("POST", "/v1/events")])
    async def test_a_bug_is_a_500_without_a_traceback(self, line, method, path):
        line.counts = line.busy = None  # type: ignore[assignment,method-assign]
        settings = Settings()
        transport = httpx.ASGITransport(create_app(line, settings), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://display") as client:
            answer = await client.request(method, path)
            numbers = (await client.get("/metrics")).text
        assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert f'shopguide_http_requests_total{{method="{method}",route="{path}",status="500"}} 1.0' in numbers

    async def test_a_bug_on_the_short_way_is_told_to_who_runs_it(self, client, line, caplog):
        line.busy = None  # type: ignore[assignment,method-assign]
        assert (await client.post("/v1/events", json=[])).status_code == 500
        assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [TypeError]
