"""What operators are told in numbers: of the parts, and of a real line over HTTP."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from running import Running
from starlette.requests import Request

from shopguide.cli.control import ask
from shopguide.client import Subscriber
from shopguide.display.vitals import allowed, route_of
from shopguide.metrics import FAMILIES, Histogram, Sample, reason_word
from shopguide.metrics.exposition import Exposition
from shopguide.storm.meter import EVERY

DEPLOY = Path(__file__).parent.parent / "deploy"
BOUNDS = (0.5, 1, 2)
OFF_THE_BOARD = ("build_info", "uptime_seconds", "items", "units", "double_ids", "snapshots_total")


@given(st.lists(st.floats(0, 5)))
def test_a_histogram_counts_what_is_at_most_each_bound(values: list[float]) -> None:
    found = Histogram(BOUNDS)
    for value in values:
        found.observe(value)
    text = Exposition().text([Sample("shopguide_push_delay_seconds", [], found.dump())]).decode()
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == "shopguide_push_delay_seconds"]
    got = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert got == {str(float(b)): sum(v <= b for v in values) for b in BOUNDS} | {"+Inf": len(values)}
    assert dict((s.name.rpartition("_")[2], s.value) for s in family.samples[-2:])["count"] == len(values) == len(found)


def test_a_histogram_crosses_to_another_process() -> None:
    one = Histogram(BOUNDS)
    for value in (0.1, 1, 7):
        one.observe(value)
    other = Histogram.load(msgpack.unpackb(msgpack.packb(one.dump())))
    assert other.dump() == one.dump() == {"bounds": [0.5, 1, 2], "counts": [1, 1, 0, 1], "sum": 8.1}
    other.observe(1)
    assert len(one) == 3 and len(other) == 4
    with pytest.raises(ValueError, match="buckets"):
        Histogram.load({"bounds": [1], "counts": [1], "sum": 0})


def test_names_are_as_prometheus_wants_them() -> None:
    for name, family in FAMILIES.items():
        assert re.fullmatch(r"shopguide_[a-z_]+", name)
        assert name.endswith("_total") == (family.kind == "counter"), name
        assert family.help.endswith(".") and not set(family.labels) & {"user", "token", "item", "key", "le"}
        assert family.kind != "histogram" or name.endswith(("_seconds", "_rows")), name


def test_operators_are_told_of_each() -> None:
    told = (DEPLOY.parent / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`(shopguide_[a-z_]+)`", told))
    assert named == FAMILIES.keys()


def test_what_another_version_wrote_is_left_out() -> None:
    strange = [
        Sample("shopguide_of_tomorrow", [], 1),
        Sample("shopguide_users", [], 1),
        Sample("shopguide_users", ["a"], 2),
    ]
    text = Exposition().text(strange).decode()
    assert 'shopguide_users{task="a"} 2.0' in text and "tomorrow" not in text and "shopguide_users 1" not in text


@given(st.text())
def test_reasons_are_of_a_fixed_set(reason: str) -> None:
    word = reason_word(reason)
    assert word == reason or word in ("other", "lacks a field", "a field makes no sense")
    assert reason_word("time is in the future") == "time is in the future"
    assert (
        reason_word("no stock") == "lacks a field" and reason_word("price makes no sense") == "a field makes no sense"
    )
    assert reason_word("cannot be judged: KeyError") == "other"


@pytest.mark.parametrize(
    ("who", "client", "headers", "may"),
    [
        ("local", "127.0.0.1", {}, True),
        ("local", "::1", {}, True),
        ("local", "10.0.0.7", {}, False),
        ("local", "somewhere", {}, False),
        ("local", None, {}, False),
        ("local", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False),
        ("local", "127.0.0.1", {"Forwarded": "for=127.0.0.1"}, False),
        ("all", "10.0.0.7", {"X-Forwarded-For": "1.2.3.4"}, True),
        ("off", "127.0.0.1", {}, False),
    ],
)
def test_who_may_read_them(who: str, client: str | None, headers: dict[str, str], may: bool) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "client": client and (client, 5), "headers": raw})
    assert allowed(request, who) is may


def test_routes_are_of_a_fixed_set() -> None:
    known = frozenset(("/v1/events", "/"))
    asked = ("/v1/events", "/", "/static/shop.css", "/v1/events/x", "/?token=secret", "/static")
    assert [route_of(path, known) for path in asked] == ["/v1/events", "/", "/static", "other", "other", "other"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    state = tmp_path_factory.mktemp("state")
    with Running(state, state_every=0.5) as one:
        visitor = one.post("/v1/visitor", {})
        one.post(
            "/v1/events",
            [{"user": f"u{u}", "item": f"i{i}", "kind": "view", "id": f"{u}-{i}"} for u in range(9) for i in range(4)],
        )
        one.post(
            "/v1/events",
            [{"user": "u1", "item": "i1", "id": "1-1"}, {"item": "i1", "kind": "view"}, {"user": "u", "kind": "fly"}],
        )
        with Subscriber(visitor["token"], one.where["push"], one.where["gap"]) as subscriber:
            events = [{"kind": "view", "item": "i1"}, {"kind": "impression", "item": "i2"}]
            assert subscriber.receive(10) is not None
            one.post("/v1/events", {"token": visitor["token"], "events": events[:1]})
            update = subscriber.receive(10)
            assert update is not None and {item["item"] for item in update.items} > {"i2"}
            one.post("/v1/events", {"token": visitor["token"], "events": events[1:]})
            events = [{"kind": "click", "item": "i2"}, {"kind": "purchase", "item": "i2"}]
            one.post("/v1/events", {"token": visitor["token"], "events": events, "webdriver": True})
            one.post("/v1/events", {"token": visitor["token"], "events": events})
        ask(state, "activate", version="off", models=["rnn"])
        time.sleep(EVERY + 1.5)  # a tick comes once a second
        yield one
        one.stop()


def test_a_real_answer_counts_what_was_done(running: Running) -> None:
    text = running.until(
        'shopguide_events_kept_total{kind="view",task="featurize-0"} 37.0',
        'shopguide_events_double_total{task="featurize-0"} 1.0',
        'shopguide_events_rejected_total{reason="no user and no session",task="clean-0"} 1.0',
        'shopguide_events_rejected_total{reason="unknown kind",task="clean-0"} 1.0',
        'shopguide_users{task="featurize-0"} 10.0',
        'shopguide_http_requests_total{method="POST",route="/v1/events",status="202"} 6.0',
        'shopguide_items{model="items",task="score-0"} 4.0',
        'shopguide_pairs{model="items",task="score-0"} 6.0',
        'shopguide_catalogue_items{task="rank-0"} 4.0',
        'shopguide_http_refused_total{reason="bot"} 2.0',
        'shopguide_model_info{model="rnn",task="score-0",version="off"} 1.0',
    )
    found = {family.name: family for family in text_string_to_metric_families(text)}
    for name, family in found.items():
        declared = FAMILIES.get(name) or FAMILIES.get(f"{name}_total")
        assert declared is None or (declared.kind, declared.help) == (family.type, family.documentation)
    seconds = {
        s.labels["stage"]: s.value for s in found["shopguide_stage_seconds"].samples if s.name.endswith("_count")
    }
    assert {"log", "clean", "featurize", "score", "rank", "push", "reject"} <= {
        stage for stage, n in seconds.items() if n
    }
    rows = sum(sample.value for sample in found["shopguide_events"].samples)
    assert rows == running_rows(found) > 40
    delays = {
        s.name.rpartition("_")[2]: s.value
        for s in found["shopguide_push_delay_seconds"].samples
        if "le" not in s.labels
    }
    assert delays["count"] >= 1 and 0 < delays["sum"] < 10
    for name in ("impressions", "clicks", "purchases"):
        (sample,) = found[f"shopguide_{name}"].samples
        assert sample.value == 1 and sample.labels["recommender"] != "none"
    assert 0 <= time.time() - found["shopguide_snapshot_timestamp_seconds"].samples[0].value < 60
    assert found["shopguide_snapshots"].samples[0].value >= 1
    assert found["process_open_fds"].samples[0].value > 5 and found["shopguide_disk_free_bytes"].samples[0].value > 0
    assert not any(re.search(r'"(u\d|i\d|guest-[^"]*)"', line) for line in text.splitlines())


def running_rows(found: dict[str, Any]) -> float:
    """What was carried into the stages."""
    (rows,) = [s.value for s in found["shopguide_batch_rows"].samples if s.name.endswith("_sum")]
    return float(rows)


def test_a_client_that_comes_through_a_proxy_does_not_see_them(running: Running) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        running.scrape(**{"X-Forwarded-For": "10.0.0.7"})


def test_whatever_is_asked_makes_no_new_series(running: Running) -> None:
    for at in range(50):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{running.where['http']}/v1/nothing{at}", timeout=10)
    text = running.until('shopguide_http_requests_total{method="GET",route="other",status="404"} 50.0')
    assert text.count("shopguide_http_requests_total{") < 12


OF_TOPICS = {"shopguide_topic_lag_messages", "shopguide_topic_undelivered_messages"}  # tests/kafka sees them


def board() -> list[tuple[str, str]]:
    """(where, query) of every panel and alert."""
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    alerts = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [
        *((panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())),
        *((rule["alert"], rule["expr"]) for group in alerts for rule in group["rules"]),
    ]


def test_every_metric_that_is_queried_is_in_a_real_answer(running: Running) -> None:
    series = set(re.findall(r"^([a-z_]+)[{ ]", running.scrape(), re.M))
    labels = {label for family in FAMILIES.values() for label in family.labels} | {"le", "instance", "job"}
    for where, query in board():
        named = set(re.findall(r"\b(?:shopguide|process|python)_[a-z_]+", query))
        assert named - OF_TOPICS <= series, f"{where}: {sorted(named - series)}"
        assert named or query.startswith("up{"), where
        grouped = {label.strip() for part in re.findall(r"by \(([^)]*)\)", query) for label in part.split(",")}
        assert grouped <= labels, f"{where}: {sorted(grouped - labels)}"
        of = {label for name in named for label in labels_of(name)} | {"instance", "job"}
        assert grouped <= of, f"{where}: {sorted(grouped - of)} is no label of {sorted(named)}"
        assert query.count("(") == query.count(")") and query.count("[") == query.count("]"), where


def labels_of(series: str) -> set[str]:
    """Those that a series of an answer has."""
    family = FAMILIES.get(series) or FAMILIES.get(re.sub("_(bucket|sum|count)$", "", series))
    return {*family.labels, *({"le"} if series.endswith("_bucket") else ())} if family else set()


def test_all_that_is_counted_is_on_the_board_or_in_an_alert() -> None:
    queries = " ".join(query for _, query in board())
    rest = {name for name in FAMILIES if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", queries)}
    assert rest == {f"shopguide_{name}" for name in OFF_THE_BOARD}


def test_the_board_is_one_that_grafana_takes() -> None:
    found = json.loads((DEPLOY / "grafana.json").read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= found.keys()
    (source,) = found["templating"]["list"]
    assert (source["type"], source["query"], source["name"]) == ("datasource", "prometheus", "datasource")
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    places = set()
    for panel in found["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & places, panel["title"]
        places |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"} and panel["targets"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_prometheus_is_told_where_and_by_which_rules() -> None:
    told = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert [(DEPLOY / name).exists() for name in told["rule_files"]] == [True]
    assert {job["job_name"] for job in told["scrape_configs"]} == {"shopguide"}
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert (
                rule["labels"]["severity"] in ("page", "warn")
                and {"summary", "description"} == rule["annotations"].keys()
            )


def test_of_each_alert_the_documents_say_what_to_do() -> None:
    text = (DEPLOY.parent / "docs" / "operations.md").read_text()
    table = text.partition("### Alerts\n")[2].partition("\n### ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| Shopguide")]
    told = [name for row in rows for name in re.findall(r"Shopguide\w+", row)]
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    assert sorted(told) == sorted(rule["alert"] for group in groups for rule in group["rules"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool (Debian: prometheus)")
def test_each_alert_fires_where_it_should() -> None:
    for words in (["check", "rules", DEPLOY / "alerts.yml"], ["test", "rules", Path(__file__).parent / "alerts.yml"]):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
