"""Where events come in: who may bring them, how fast, what is refused and said so, and what is never kept."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from memory_line import MemoryLine, serving
from starlette.requests import Request

from shopguide.display.app import create_app
from shopguide.display.body import Asked
from shopguide.display.doubles import Doubles
from shopguide.display.entrance import address_of
from shopguide.display.group_commit import GroupCommit
from shopguide.display.limits import BURST, MOST, Limit
from shopguide.display.routes import STATIC
from shopguide.errors import StateError
from shopguide.settings import load
from shopguide.tokens import KeyRing, mint

PROTOCOL = Path(__file__).parents[1] / "docs/protocol.md"
SITE = "https://shop.example"
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"}


@pytest.fixture
def line() -> MemoryLine:
    return MemoryLine()


@pytest.fixture
async def client(line: MemoryLine) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(line) as (_, client):
        yield client


def of(line: MemoryLine, *events: dict, **more: object) -> dict:
    return {"token": line.mint("ann"), "events": list(events or [{"item": "i1"}]), **more}


class TestTheShop:
    OWN: ClassVar = ({"user": "anybody", "item": "i"}, {"kind": "item", "op": "delete", "item": "i"})
    PROXY: ClassVar = ({"x-forwarded-for": "10.0.0.7"}, {"forwarded": "for=10.0.0.7"}, {"via": "1.1 edge"})

    @pytest.mark.parametrize(
        ("shop", "direct", "proxy"), [("local", 202, 403), ("direct", 202, 403), ("all", 202, 202)]
    )
    async def test_is_who_the_setting_says(self, line, shop, direct, proxy):
        async with serving(line, shop=shop) as (_, client):
            for row in self.OWN:
                assert (await client.post("/v1/events", json=row)).status_code == direct
                for headers in self.PROXY:
                    assert (await client.post("/v1/events", json=row, headers=headers)).status_code == proxy
            assert len(line.rows) == (8 if proxy == 202 else 2)
            refused = (await client.get("/healthz")).json()["refused"]
            assert refused == ({} if proxy == 202 else {"not the shop": 6})

    async def test_may_be_elsewhere_where_local_is_not_asked_for(self, line):
        for shop, status in (("direct", 202), ("local", 403)):
            app = create_app(line, load("shop", flags={"http.shop": shop}))
            transport = httpx.ASGITransport(app=app, client=("10.0.0.7", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                answer = await client.post("/v1/events", json=self.OWN[0])
                assert answer.status_code == status and (status == 202 or shop in answer.json()["error"])

    async def test_does_not_concern_who_has_a_token(self, line):
        async with serving(line, shop="local") as (_, client):
            assert (await client.post("/v1/events", json=of(line), headers=self.PROXY[0])).status_code == 202


class TestOrigins:
    async def test_none_is_the_default(self, client, line):
        answer = await client.post("/v1/events", json=of(line), headers={"origin": SITE})
        assert (answer.status_code, list(answer.json())) == (403, ["error"])
        assert "access-control-allow-origin" not in answer.headers
        assert (await client.options("/v1/events", headers={"origin": SITE})).status_code == 403
        assert (await client.get("/v1/trending", headers={"origin": SITE})).status_code == 403
        assert line.rows == []
        own = str(client.base_url)
        assert (await client.post("/v1/events", json=of(line), headers={"origin": own})).status_code == 202

    @pytest.mark.parametrize("origin", ["null", "http://[", "", "https://shop.example.evil", "http://shop.example"])
    async def test_others_are_turned_away(self, line, origin):
        async with serving(line, origins=[SITE]) as (_, client):
            answer = await client.post("/v1/events", json=of(line), headers={"origin": origin})
            assert answer.status_code == 403
        assert line.rows == []

    async def test_those_named_may_read_the_answer(self, line):
        async with serving(line, origins=[SITE], address_rate=0.1) as (_, client):
            asked = {"origin": SITE, "access-control-request-method": "POST"}
            told = await client.options("/v1/events", headers=asked)
            assert (told.status_code, told.headers["access-control-allow-origin"]) == (204, SITE)
            assert "content-encoding" in told.headers["access-control-allow-headers"]
            assert "POST" in told.headers["access-control-allow-methods"]
            answer = await client.post("/v1/events", json=of(line), headers={"origin": SITE})
            assert (answer.status_code, answer.headers["vary"]) == (202, "Origin")
            late = await client.post("/v1/events", json=of(line), headers={"origin": SITE})
            assert (late.status_code, late.headers["access-control-allow-origin"]) == (429, SITE)
            assert "retry-after" in late.headers["access-control-expose-headers"]
            assert "access-control-allow-origin" not in (await client.get("/healthz", headers={"origin": SITE})).headers

    async def test_all_may_where_the_setting_says_so(self, line):
        async with serving(line, origins=["*"]) as (_, client):
            answer = await client.get("/v1/trending", headers={"origin": "null"})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "null")


class TestKeys:
    async def test_are_asked_of_new_visitors_and_pixels(self, line):
        async with serving(line, write_keys=["site-1"]) as (_, client):
            for wrong in ("", "?key=", "?key=site-2"):
                answer = await client.post(f"/v1/visitor{wrong}")
                assert (answer.status_code, list(answer.json())) == (403, ["error"])
            assert (await client.get("/v1/pixel.gif?item=i1")).status_code == 403
            ann = (await client.post("/v1/visitor?key=site-1")).json()
            renewal = {"user": ann["user"], "token": ann["token"]}
            assert (await client.post("/v1/visitor", json=renewal)).status_code == 200
            body = {"token": ann["token"], "events": [{"item": "i1"}]}
            assert (await client.post("/v1/events", json=body)).status_code == 202
            assert (await client.post("/v1/events?key=site-2", json=body)).status_code == 403
            assert (await client.get("/v1/pixel.gif?item=i1&key=site-1")).status_code == 200
            assert (await client.get("/healthz")).json()["refused"] == {"wrong key": 5}

    async def test_any_will_do_where_there_is_no_list(self, client):
        assert (await client.post("/v1/visitor?key=whatever")).status_code == 200

    async def test_a_visitor_is_known_for_long(self, line):
        async with serving(line, visitor_ttl=1e6) as (_, client):
            ann = (await client.post("/v1/visitor")).json()
            assert ann["expires"] - time.time() == pytest.approx(1e6, abs=60)
            bob = {"user": "bob", "token": line.mint("bob")}
            assert (await client.post("/v1/visitor", json=bob)).json()["expires"] - time.time() < 3601


class TestRates:
    async def test_too_fast_is_429_and_says_how_long(self, line):
        async with serving(line, address_rate=1) as (_, client):
            assert (await client.post("/v1/events", json=of(line, *[{"item": "i"}] * 8))).status_code == 202
            answer = await client.post("/v1/events", json=of(line, *[{"item": "i"}] * 4))
            assert (answer.status_code, list(answer.json())) == (429, ["error"])
            assert 1 <= int(answer.headers["retry-after"]) <= 2
            assert (await client.post("/v1/events", json=of(line))).status_code == 202
            assert len(line.rows) == 9
            shops_own = [{"user": "u", "item": "i"}] * 50
            assert (await client.post("/v1/events", json=shops_own)).status_code == 202

    async def test_a_key_has_its_own(self, line):
        async with serving(line, key_rate=1) as (_, client):
            assert (await client.post("/v1/events?key=a", json=of(line, *[{"item": "i"}] * 10))).status_code == 202
            assert (await client.post("/v1/events?key=a", json=of(line))).status_code == 429
            assert (await client.post("/v1/events?key=b", json=of(line))).status_code == 202
            assert (await client.get("/healthz")).json()["refused"] == {"too fast": 1}

    def test_a_bucket_fills_again(self):
        now = [0.0]
        limit = Limit(2, lambda: now[0])
        assert [limit.take("a", 10), limit.take("a", 10)] == [0, 0]
        assert limit.take("a", 4) == pytest.approx(2)
        assert limit.take("b", 1) == 0
        now[0] = 2
        assert limit.take("a", 4) == 0
        assert limit.take("a", 1_000_000) == pytest.approx(BURST)
        now[0] = 12
        assert limit.take("a", 1_000_000) == 0
        assert Limit(None).take("a", 10**9) == 0

    def test_memory_is_bounded(self):
        now = [0.0]
        limit = Limit(1, lambda: now[0])
        for who in range(MOST):
            limit.take(str(who), 1)
        now[0] = 2.0
        limit.take("late", 5)
        assert len(limit) == 1
        for who in range(MOST):
            limit.take(str(who), 5)
        assert len(limit) <= MOST

    @pytest.mark.parametrize(
        ("host", "counted"),
        [("10.0.0.7", "10.0.0.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("testclient", "testclient")],
    )
    def test_an_address_of_ipv6_is_its_network(self, host, counted):
        assert address_of(Request({"type": "http", "client": (host, 1), "headers": []})) == counted


class TestRoom:
    async def test_a_line_that_is_behind_puts_off(self, client, line):
        line.too_much = "the line is 5 rows behind"
        token = line.mint("ann")
        asked = [
            client.post("/v1/events", json=of(line)),
            client.post("/v1/events", json=[{"user": "u", "item": "i"}]),
            client.post("/v1/dismiss", json={"token": token, "item": "i1"}),
            client.post("/v1/identify", json={"token": token, "account": token}),
            client.get("/v1/pixel.gif?item=i1"),
        ]
        for answer in await asyncio.gather(*asked):
            assert (answer.status_code, answer.json()) == (429, {"error": line.too_much})
            assert int(answer.headers["retry-after"]) > 0
        assert line.rows == []
        assert (await client.post("/v1/visitor")).status_code == 200
        line.too_much = ""
        assert (await client.post("/v1/events", json=of(line))).status_code == 202

    async def test_a_disk_that_hangs_is_503_in_time_and_what_waited_is_written_once(self, client, line, monkeypatch):
        monkeypatch.setattr("shopguide.display.group_commit.PATIENCE", 0.05)
        line.writes.clear()
        rows = [{"item": f"i{n}", "id": f"e{n}"} for n in range(3)]
        for row in rows:
            answer = await client.post("/v1/events", json=of(line, row))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        line.writes.set()
        answer = await client.post("/v1/events", json=of(line, *rows, {"item": "new"}))
        assert answer.json() == {"accepted": 1, "refused": 0}
        assert [row["item"] for row in line.rows] == ["i0", "i1", "i2", "new"]


class TestGroups:
    async def test_what_comes_while_the_log_is_written_is_written_together(self, client, line):
        line.writes.clear()
        first = asyncio.create_task(client.post("/v1/events", json=[{"user": "u", "item": "first"}]))
        await asyncio.sleep(0.05)
        sizes = [3, 1, 2]
        bodies = [[{"user": f"u{n}", "item": "i", "consent": k > 0} for k in range(n)] for n in sizes]
        rest = [asyncio.create_task(client.post("/v1/events", json=body)) for body in bodies]
        await asyncio.sleep(0.2)
        line.writes.set()
        assert (await first).json() == {"accepted": 1, "refused": 0}
        said = [(await answer).json() for answer in rest]
        assert [(one["accepted"], one["refused"]) for one in said] == [(2, 1), (0, 1), (1, 1)]
        assert [sorted(group) for group in line.groups] == [[1], [1, 2, 3]]

    async def test_those_who_were_just_answered_are_waited_for(self, line, monkeypatch):
        monkeypatch.setattr("shopguide.display.group_commit.MOMENT", 60)
        group = GroupCommit(line)

        async def send(pause: float) -> None:
            while True:
                await group.collect([{"user": "u", "item": "i"}])
                await asyncio.sleep(pause)

        senders = [asyncio.create_task(send(pause)) for pause in (0, 0.02)]
        while len(line.groups) < 5:
            await asyncio.sleep(0.01)
        assert line.groups[:5] == [[1, 1]] * 5
        for sender in senders:
            sender.cancel()

    async def test_who_comes_alone_waits_for_nobody(self, line, monkeypatch):
        monkeypatch.setattr("shopguide.display.group_commit.MOMENT", 1000)
        group = GroupCommit(line)
        for _ in range(3):
            await group.collect([{"user": "u", "item": "i"}])
        await group.close()
        assert line.groups == [[1]] * 3

    async def test_a_group_that_fails_fails_for_all_and_may_come_again(self, client, line):
        line.writes.clear()
        line.broken = StateError("the log's disk is full")
        bodies = [of(line, {"item": "i", "id": f"e{n}"}) for n in range(4)]
        bodies.append(bodies[0])  # a page that was left in the middle of the first
        answers = [asyncio.create_task(client.post("/v1/events", json=body)) for body in bodies]
        await asyncio.sleep(0.2)
        line.writes.set()
        for answer in await asyncio.gather(*answers):
            assert (answer.status_code, answer.json()) == (503, {"error": "the log's disk is full"})
        line.broken = None
        again = await asyncio.gather(*(client.post("/v1/events", json=body) for body in bodies))
        assert sorted(answer.json()["accepted"] for answer in again) == [0, 1, 1, 1, 1]
        assert len(line.rows) == 4

    async def test_a_double_of_what_is_being_written_is_kept_where_that_fails(self, line):
        group, row = GroupCommit(line), {"user_key": 5, "id": "e1"}
        line.writes.clear()
        line.broken = StateError("the broker is away")
        first = group.collect([row])
        await asyncio.sleep(0.02)
        second = group.collect([row])
        await asyncio.sleep(0)
        line.writes.set()
        with pytest.raises(StateError):
            await first
        line.broken = None
        assert (await second).accepted == 1
        assert line.rows == [row]

    async def test_who_goes_away_loses_and_doubles_nothing(self, line):
        group, rows = GroupCommit(line), [{"user_key": 5, "id": f"e{n}"} for n in range(3)]
        line.writes.clear()
        under_way = group.collect(rows[:1])
        await asyncio.sleep(0.02)
        waiting, other = (group.collect([row]) for row in rows[1:])
        await asyncio.sleep(0)
        under_way.cancel()
        waiting.cancel()
        line.writes.set()
        assert (await other).accepted == 1
        assert (await group.collect(rows)).accepted == 0
        assert line.rows == rows

    async def test_each_is_told_when_it_is_late_itself(self, line, monkeypatch):
        monkeypatch.setattr("shopguide.display.group_commit.PATIENCE", 0.1)
        group, loop = GroupCommit(line), asyncio.get_running_loop()
        await group.collect([])  # is in time, and what is watched first
        line.writes.clear()
        told: list[float] = []

        async def bring(pause: float) -> None:
            await asyncio.sleep(pause)
            came = loop.time()
            with pytest.raises(TimeoutError):
                await group.collect([{"user": "u", "item": "i"}])
            told.append(loop.time() - came)

        async with asyncio.timeout(5):
            await asyncio.gather(*map(bring, (0.03, 0.03, 0.08)))
        line.writes.set()
        await group.close()
        assert len(told) == 3 and min(told) > 0.099
        assert sum(map(sum, line.groups)) == 3

    async def test_what_waits_is_written_before_the_server_ends(self, line):
        line.writes.clear()
        async with serving(line) as (server, client):
            server.config.timeout_graceful_shutdown = 0
            sent = [asyncio.create_task(client.post("/v1/events", json=of(line))) for _ in range(2)]
            await asyncio.sleep(0.1)
            server.should_exit = True
            asyncio.get_running_loop().call_later(0.3, line.writes.set)
        await asyncio.gather(*sent, return_exceptions=True)
        assert len(line.rows) == 2

    async def test_a_login_and_forgetting_come_after_what_waits(self, client, line):
        line.writes.clear()
        token = line.mint("ann")
        asked: list[asyncio.Task] = []
        for path, body in (
            ("/v1/events", of(line, {"item": "i1"})),
            ("/v1/events", of(line, {"item": "i2"})),
            ("/v1/identify", {"token": token, "account": line.mint("bob")}),
            ("/v1/forget", {"token": token}),
        ):
            asked.append(asyncio.create_task(client.post(path, json=body)))
            await asyncio.sleep(0.05)
        assert line.said == []
        line.writes.set()
        assert [answer.status_code for answer in await asyncio.gather(*asked)] == [202, 202, 202, 200]
        assert [what for what, _ in line.said[:2]] == ["i1", "i2"]
        assert sorted(what for what, _ in line.said[2:]) == ["forget", "identify"]


class TestTheShortWay:
    """What goes past Starlette's routes is read, refused and answered as everything else."""

    def test_a_request_says_what_starlettes_says(self):
        headers = [(b"origin", b"http://a"), (b"x-odd", b"\xe4"), (b"origin", b"http://b"), (b"content-length", b"3")]
        for query in (b"", b"key=a&token=b%20c&key=d&empty="):
            scope = {"type": "http", "headers": headers, "query_string": query}
            plain = Request(scope)
            asked = Asked(scope, plain.receive)
            assert dict(asked.headers) == {name: plain.headers[name] for name in plain.headers}
            assert dict(asked.query_params) == dict(plain.query_params) and asked.query_params.get("no") is None

    @pytest.mark.parametrize(
        ("content", "more", "status"),
        [
            (b"{", {}, 400),
            (b"[" + b" " * 1024, {}, 413),
            (gzip.compress(b"{", mtime=0), {"content-encoding": "gzip"}, 400),
            (b"[]", {"content-encoding": "br"}, 415),
            (b"{", {"origin": SITE}, 400),
            (b"[]", {"origin": "https://other.example"}, 403),
            (b"[]", {"authorization": "Bearer forged"}, 401),
        ],
    )
    async def test_it_refuses_as_the_long_one_does(self, line, content, more, status):
        async with serving(line, origins=[SITE], max_body=1024) as (_, client):
            short = await client.post("/v1/events", content=content, headers=more)
            long = await client.post("/v1/dismiss", content=content, headers=more)
        assert short.status_code == status and list(short.json()) == ["error"]
        if status != 401:
            assert (long.status_code, long.json()) == (short.status_code, short.json())
        assert short.headers.keys() >= {"x-content-type-options", "content-security-policy", "cache-control"}
        assert (short.headers.get("access-control-allow-origin") == SITE) == (more.get("origin") == SITE)

    async def test_its_answer_has_every_header(self, client):
        answer = await client.post("/v1/events", json=[{"user": "u", "item": "i"}])
        told = (await client.get("/healthz")).headers.keys()
        assert (answer.status_code, answer.headers["cache-control"]) == (202, "no-store")
        assert answer.headers.keys() == told


class TestConsent:
    async def test_a_privacy_signal_keeps_nothing(self, client, line):
        signal = {"sec-gpc": "1"}
        answer = await client.post("/v1/events", json=of(line, {"item": "a"}, {"item": "b"}), headers=signal)
        said = {"accepted": 0, "refused": 2, "reasons": {"no consent": 2}}
        assert (answer.status_code, answer.json()) == (202, said)
        answer = await client.get("/v1/pixel.gif?item=i1", headers=signal)
        assert (answer.status_code, answer.headers["shopguide-refused"]) == (200, "no consent")
        assert line.rows == []
        assert (await client.get("/healthz")).json()["refused"] == {"no consent": 3}
        assert (await client.post("/v1/events", json=of(line), headers={"sec-gpc": "0"})).json()["accepted"] == 1

    @pytest.mark.parametrize("said", [False, None, "no", 0, [], "yes"])
    async def test_what_is_no_clear_yes_is_none(self, client, line, said):
        answer = await client.post("/v1/events", json=of(line, consent=said))
        assert answer.json()["reasons"] == {"no consent": 1}
        assert line.rows == []

    async def test_each_event_may_have_its_own(self, client, line):
        body = of(line, {"item": "a", "consent": False}, {"item": "b"}, consent=True)
        assert (await client.post("/v1/events", json=body)).json()["accepted"] == 1
        assert [row["item"] for row in line.rows] == ["b"]


class TestBots:
    async def test_are_counted_and_not_kept(self, client, line):
        agent = {"user-agent": "Googlebot/2.1"}
        answer = await client.post("/v1/events", json=of(line), headers=agent)
        assert answer.json() == {"accepted": 0, "refused": 1, "reasons": {"bot": 1}}
        driven = await client.post("/v1/events", json=of(line, webdriver=True), headers=BROWSER)
        assert driven.json()["reasons"] == {"bot": 1}
        pixel = await client.get("/v1/pixel.gif?item=i1", headers=agent)
        assert (pixel.headers["shopguide-refused"], line.rows) == ("bot", [])
        assert (await client.get("/healthz")).json()["refused"] == {"bot": 3}
        own = await client.post("/v1/events", json=[{"user": "u", "item": "i"}], headers=agent)
        assert own.json()["accepted"] == 1

    async def test_are_kept_where_the_setting_says_so(self, line):
        async with serving(line, bots="keep") as (_, client):
            body = of(line, webdriver=True)
            answer = await client.post("/v1/events", json=body, headers={"user-agent": "Googlebot/2.1"})
            assert answer.json()["accepted"] == 1


class TestTimes:
    @pytest.mark.parametrize(
        ("age_ms", "seconds"),
        [(0, 0), (90_000, 90), (1500.5, 1.5), (1e300, 100), (10**30, 100), (-5, 0), (True, 0), ("9", 0), (None, 0)],
    )
    async def test_an_event_may_have_waited(self, line, age_ms, seconds):
        async with serving(line, max_age=100) as (_, client):
            await client.post("/v1/events", json=of(line, {"item": "i1", "age_ms": age_ms, "time": 5}))
        (row,) = line.rows
        assert time.time() - row["time"] == pytest.approx(seconds, abs=1)
        assert "age_ms" not in row

    async def test_an_event_has_its_id_and_session(self, client, line):
        await client.post("/v1/events", json=of(line, {"item": "i1", "id": "e1", "session": "s1"}))
        assert (line.rows[0]["id"], line.rows[0]["session"]) == ("e1", "s1")


class TestDoubles:
    async def test_what_is_sent_again_is_logged_once(self, client, line):
        rows = [{"item": "i1", "id": "e1"}, {"item": "i2", "id": "e2"}, {"item": "i1", "id": "e1"}, {"item": "i3"}]
        answer = await client.post("/v1/events", json=of(line, *rows))
        assert answer.json() == {"accepted": 3, "refused": 0}
        answer = await client.post("/v1/events", json=of(line, *rows, {"item": "i4", "id": "e4"}))
        assert answer.json() == {"accepted": 2, "refused": 0}
        assert [row["item"] for row in line.rows] == ["i1", "i2", "i3", "i3", "i4"]
        others = {"token": line.mint("bob"), "events": rows[:1]}
        assert (await client.post("/v1/events", json=others)).json()["accepted"] == 1
        assert len(line.rows) == 6

    async def test_what_the_log_refused_may_come_again(self, client, line):
        line.broken = StateError("the log's disk is full")
        body = of(line, {"item": "i1", "id": "e1"})
        assert (await client.post("/v1/events", json=body)).status_code == 503
        line.broken = None
        assert (await client.post("/v1/events", json=body)).json()["accepted"] == 1

    def test_memory_is_bounded(self):
        doubles = Doubles(remembered=3)
        rows = [{"user_key": 5, "id": str(k)} for k in range(5)]
        doubles.remember([rows])
        assert doubles.without([rows]) == [rows[:2]]


class TestBeaconsAndPixels:
    async def test_a_beacon_is_text(self, client, line):
        body = f'{{"token": "{line.mint("ann")}", "events": [{{"kind": "cart", "item": "i1"}}]}}'
        answer = await client.post("/v1/events", content=body, headers={"content-type": "text/plain;charset=UTF-8"})
        assert (answer.status_code, line.rows[0]["kind"]) == (202, "cart")

    async def test_a_pixel_is_an_event(self, client, line):
        asked = {"item": "i1", "kind": "cart", "value": "3.5", "id": "e1", "title": "no", "token": line.mint("ann")}
        answer = await client.get("/v1/pixel.gif", params=asked)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert (answer.content[:6], answer.headers["cache-control"]) == (b"GIF89a", "no-store")
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        (row,) = line.rows
        assert {k: row[k] for k in row if k != "time"} == {
            "item": "i1", "kind": "cart", "value": "3.5", "id": "e1", "user_key": line.verify(line.mint("ann")),
        }  # fmt: skip
        assert line.groups == [[1]]

    async def test_without_a_token_each_is_somebody_new(self, client, line):
        for _ in range(2):
            assert (await client.get("/v1/pixel.gif?item=i1&user=bob&user_key=5")).status_code == 200
        assert len({row["user_key"] for row in line.rows}) == 2
        assert all("user" not in row for row in line.rows)

    async def test_what_is_no_visitors_is_refused(self, client, line):
        answer = await client.get("/v1/pixel.gif?kind=forget&item=i1")
        assert (answer.headers["shopguide-refused"], line.rows) == ("kind is not a visitor's", [])
        assert (await client.get("/v1/pixel.gif?item=i1&token=forged")).status_code == 401
        assert (await client.head("/v1/pixel.gif?item=i1")).status_code == 200
        assert line.rows == []


class TestIdentify:
    async def test_needs_a_token_of_each(self, client, line):
        visitor, account = line.mint("guest-1"), line.mint("ann")
        answer = await client.post("/v1/identify", json={"token": visitor, "account": account})
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "refused": 0})
        assert line.said == [("identify", (line.verify(visitor), line.verify(account)))]
        for body, status in (
            ({"account": account}, 401),
            ({"token": visitor, "account": "forged"}, 401),
            ({"token": "forged", "account": account}, 401),
            ({"token": visitor}, 400),
            ({"token": visitor, "account": "ann"}, 401),
            ([], 401),
        ):
            assert (await client.post("/v1/identify", json=body)).status_code == status, body
        assert (await client.post("/v1/identify", json={"token": account, "account": account})).status_code == 202
        assert len(line.said) == 1


@pytest.mark.parametrize("path", ["/sg.js", "/sg-widget.js", "/sg-zh.js", "/static/sg.js"])
async def test_the_scripts_are_served_to_all_sites(client, path):
    answer = await client.get(path, headers={"origin": SITE})
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/javascript")
    if not path.startswith("/static"):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "max-age=3600" in answer.headers["cache-control"]


def test_lists_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("SHOPGUIDE_HTTP_ORIGINS", "https://a.example, http://127.0.0.1:8000")
    monkeypatch.setenv("SHOPGUIDE_HTTP_WRITE_KEYS", "one")
    assert load().http.origins == ["https://a.example", "http://127.0.0.1:8000"]
    assert load().http.write_keys == ["one"]


class TestTheScript:
    def test_is_small(self):
        assert len(gzip.compress((STATIC / "sg.js").read_bytes(), 9)) <= 6 * 1024
        assert len(gzip.compress((STATIC / "sg-widget.js").read_bytes(), 9)) <= 10 * 1024

    def test_knows_a_user_by_any_token(self):
        first, last = map(int, re.search(r"token\.slice\((\d+), (\d+)\)", (STATIC / "sg.js").read_text()).groups())
        rings = KeyRing(b"one"), KeyRing(b"another")
        users = [1 << bit for bit in range(62)]
        said = {user: {mint(ring, user, 60, now)[first:last] for ring in rings for now in (0, 4e9)} for user in users}
        assert all(len(same) == 1 for same in said.values())
        assert len(set.union(*said.values())) == len(users)

    def test_is_typed_whole(self):
        body = (STATIC / "sg.js").read_text().partition("  const sg = {")[2].partition("\n  };")[0]
        given = set(re.findall(r"^    (?:get |async )?([a-zA-Z]+)[(:]", body, re.M))
        typed = (STATIC / "sg.d.ts").read_text().partition("interface ShopGuide {")[2].partition("\n}")[0]
        assert given == set(re.findall(r"^  (?:readonly )?([a-zA-Z]+)[(:]", typed, re.M))
        assert {"view", "page", "search", "cart", "favourite", "purchase", "impression", "click"} <= given
        assert {"identify", "consent", "forgetMe"} <= given

    def test_widget_is_typed_as_it_is_described(self):
        typed = (STATIC / "sg.d.ts").read_text()
        described = PROTOCOL.read_text().partition("### The widget")[2].partition("\n\nColours")[0]
        names = {name for row in re.findall(r"^\| (`.*?) \|", described, re.M) for name in re.findall(r"`(\w+)`", row)}
        attributes = typed.partition("interface ShopGuideAttributes {")[2].partition("\n}")[0]
        assert names == set(re.findall(r"^  (\w+)\?:", attributes, re.M)) and "url" in names
        assert "declare var sg: ShopGuide;" in typed, "the calls are written sg.view(...), without window"
