"""Imported profiles on their way: joined with events, merged, forgotten, kept over restarts and retention, in lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopguide.clean import clean
from shopguide.cli.control import ask
from shopguide.cli.export import exported
from shopguide.cli.imports import import_
from shopguide.cli.line import RunningLine
from shopguide.cli.operator import operated
from shopguide.collect.imports import MappedFiles
from shopguide.collect.mapping import load_mapping
from shopguide.compaction import Kept, retain
from shopguide.errors import StateError
from shopguide.featurize import Featurizer
from shopguide.kafka.binding import Bound, bind
from shopguide.log import Log
from shopguide.profile import NOTHING, Profile
from shopguide.records import Batch, Events, Kind, Names, Ragged
from shopguide.settings import load
from shopguide.state import StateDir

SETTINGS = load("shop", flags={"log.partitions": 2})
USERS = (1, 2, 3)
NOW = 1_700_000_000.0
SHOP = [
    {"kind": "item", "item": "t1", "title": "Orchard teapot", "category": "Kitchen"},
    {"kind": "item", "item": "t2", "title": "Steel mug", "category": "Kitchen"},
    {"kind": "item", "item": "l1", "title": "Slate lamp", "category": "Lighting"},
    *({"user": f"x{at}", "item": "l1", "kind": "view"} for at in range(5)),
]
MAPPING = 'user = "nr"\ninterests = ["likes"]\nconsent = "ok"\n[profile]\nage = "age"\n'

Row = tuple[Kind, int, dict[str, Any]]

PROFILE = st.fixed_dictionaries(
    {
        "attributes": st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=2),
        "interests": st.lists(st.sampled_from(["tea", "lamps"]), max_size=2),
    },
    optional={"beneath": st.booleans()},
)
ROWS = st.lists(
    st.one_of(
        st.tuples(st.just(Kind.PROFILE), st.sampled_from(USERS), PROFILE),
        st.tuples(st.sampled_from([Kind.VIEW, Kind.FORGET]), st.sampled_from(USERS), st.just({})),
    ),
    max_size=25,
)


def table(rows: list[Row], first: int = 0) -> Events:
    return Events(
        offset=np.arange(first, first + len(rows)),
        kind=[kind for kind, _, _ in rows],
        user=np.array([user for _, user, _ in rows], np.uint64),
        item=np.full(len(rows), 9, np.uint64),
        time=np.full(len(rows), NOW),
        arrived=np.full(len(rows), NOW),
        data=Ragged.of_bytes([msgpack.packb(data) for _, _, data in rows]),
    )


def batch(rows: list[Row], first: int = 0) -> Batch:
    return Batch(0, first, first + len(rows) - 1, table(rows, first), Names())


def told(rows: list[Row]) -> dict[int, Profile]:
    """What a plain dict makes of rows."""
    profiles = dict.fromkeys(USERS, NOTHING)
    for kind, user, data in rows:
        if kind == Kind.FORGET:
            profiles[user] = NOTHING
        elif kind == Kind.PROFILE:
            profiles[user] = profiles[user].told(data)
    return profiles


def held(featurizer: Featurizer) -> dict[int, Profile]:
    return {user: featurizer.profile_of(user) for user in USERS}


@given(ROWS, st.integers(1, 7))
def test_any_order_of_rows_and_forgets_is_what_a_plain_dict_makes_of_it(rows: list[Row], size: int) -> None:
    featurizer = Featurizer(SETTINGS)
    for first in range(0, len(rows), size):
        update = featurizer.featurize(batch(rows[first : first + size], first))
        assert not (update.lessons.kind == Kind.PROFILE).any()
        restarted = Featurizer(SETTINGS)
        restarted.load(0, featurizer.dump(0))
        featurizer = restarted
    assert held(featurizer) == told(rows)
    assert featurizer.profiled(0).tolist() == [] or set(featurizer.profiled(0).tolist()) <= set(USERS)
    for user, profile in told(rows).items():
        looks = featurizer.look(user, "home", 5, NOW)
        assert looks.interests.bytes_at(0).decode().splitlines() == list(profile.interests)


@settings(deadline=None)
@given(ROWS, st.integers(1, 7))
def test_the_log_beyond_retention_still_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], size: int
) -> None:
    log = Log(tmp_path_factory.mktemp("log"), 1, 4096)
    for first in range(0, len(rows), size):
        log.append(0, table(rows[first : first + size], first), Names())
        log.roll(0)
    users = np.array([user for user, profile in told(rows).items() if profile], np.uint64)
    retain(log, {0: Kept(len(rows), np.empty(0, np.uint64), profiled=users)}, {})
    featurizer, at, left = Featurizer(SETTINGS), 0, 0
    while (found := log.read(0, at, 100)) is not None:
        featurizer.learn(clean(found)[0])
        at, left = found.last + 1, left + len(found.events)
    log.close()
    assert held(featurizer) == told(rows)
    assert left <= sum(kind == Kind.PROFILE for kind, _, _ in rows)


def test_rows_that_all_others_say_again_go(tmp_path: Path) -> None:
    log = Log(tmp_path, 1, 4096)
    rows: list[Row] = [(Kind.PROFILE, 1, {"attributes": {"a": str(at)}, "interests": ["tea"]}) for at in range(50)]
    log.append(0, table(rows), Names())
    log.roll(0)
    retain(log, {0: Kept(50, np.empty(0, np.uint64), profiled=np.array([1], np.uint64))}, {})
    assert log.read(0, 0, 100).events.offset.tolist() == [49]  # type: ignore[union-attr]
    log.close()


def test_an_import_today_moves_no_event_out_of_retention() -> None:
    featurizer = Featurizer(load("shop", flags={"learn.retention": 86400.0}))
    views: list[Row] = [(Kind.VIEW, 1, {})]
    featurizer.featurize(batch(views))
    later = batch([(Kind.PROFILE, 1, {"attributes": {"a": "x"}, "interests": []})], 1)
    later.events.time[:] = later.events.arrived[:] = NOW + 1e7
    featurizer.featurize(later)
    assert featurizer.newest == NOW and len(featurizer.events_of(1)["item"]) == 1
    assert featurizer.profile_of(1) == Profile({"a": "x"})


def test_a_visitors_profile_fills_in_what_the_accounts_lacks() -> None:
    featurizer = Featurizer(SETTINGS)
    rows: list[Row] = [
        (Kind.PROFILE, 1, {"attributes": {"a": "visitor", "b": "visitor"}, "interests": ["tea"]}),
        (Kind.PROFILE, 2, {"attributes": {"a": "account"}, "interests": []}),
        (Kind.ALIAS, 1, {"account": 2}),
    ]
    update = featurizer.featurize(batch(rows))
    assert update.relay.kind.tolist() == [Kind.ADOPT, Kind.PROFILE] and len(set(update.relay.event.tolist())) == 2
    update.relay.offset[:] = [3, 4]
    featurizer.featurize(Batch(0, 3, 4, update.relay, Names()))
    joined = Profile({"b": "visitor", "a": "account"}, ("tea",))
    assert featurizer.profile_of(1) == NOTHING and featurizer.profile_of(2) == joined
    late = featurizer.featurize(batch([(Kind.PROFILE, 1, {"attributes": {"a": "later"}, "interests": []})], 5))
    assert late.relay.user.tolist() == [2] and featurizer.profile_of(1) == NOTHING
    late.relay.offset[:] = 6
    featurizer.featurize(Batch(0, 6, 6, late.relay, Names()))
    assert featurizer.profile_of(2).attributes == {"a": "later", "b": "visitor"}


def line(path: Path) -> RunningLine:
    return RunningLine(StateDir(path), SETTINGS, push=False)


def written(folder: Path, rows: str, name: str = "users.csv", mapping: str = MAPPING) -> dict[str, Any]:
    (folder / name).write_text("nr,age,likes,ok\n" + rows)
    (folder / "m.toml").write_text(mapping)
    return {"paths": [str(folder / name)], "mapping": str(folder / "m.toml")}


def profile(running: RunningLine, user: str) -> Profile:
    key = running.secret.user_key(user)
    return running.call(lambda: running.stage("featurize").profile_of(key))


def test_a_user_whom_nobody_has_seen_gets_a_list_that_fits_and_less_so_the_more_they_look_at(tmp_path: Path) -> None:
    with operated(running := line(tmp_path / "s")):
        running.collector.collect(SHOP)
        report = ask(tmp_path / "s", "take_in", **written(tmp_path, "c1,30-39,kitchen,yes\nc2,,kitchen,no\n,,,yes\n"))
        assert report == {
            **{"rows": 3, "kept": 1, "without_consent": 1, "new": 2},
            "unreadable": {},
            "rejected": {"nothing is said": 1},
        }
    held = exported(tmp_path / "s", "c1")
    first, second, last = held["recommended"]
    assert {first["item"], second["item"]} == {"t1", "t2"} and last["item"] == "l1"
    reason = {"text": "fits your interests", "because": "", "share": 1.0}
    assert first["reasons"] == second["reasons"] == [reason] != last["reasons"]
    assert [one["item"] for one in exported(tmp_path / "s", "c2")["recommended"]] == ["l1"]
    assert held["profile"] == {"attributes": {"age": "30-39"}, "interests": ["kitchen"]}
    assert [(row["kind"], row["attributes"]) for row in held["rows"]] == [("profile", {"age": "30-39"})]
    with operated(running := line(tmp_path / "s")):
        before = running.stage("score").checksum()
        ask(tmp_path / "s", "take_in", **written(tmp_path, "c1,40-49,,yes\n"))
        assert profile(running, "c1") == Profile({"age": "40-49"}, ("kitchen",))
        assert running.stage("score").checksum() == before
        running.collector.collect([{"user": "c1", "item": f"other{at}", "kind": "view"} for at in range(10)])
        running.learn_all()
    assert "fits your interests" not in json.dumps(exported(tmp_path / "s", "c1")["recommended"])


def test_an_import_goes_on_where_it_was_interrupted_and_is_done_once(tmp_path: Path) -> None:
    given = written(tmp_path, "".join(f"c{at},{at},tea,yes\n" for at in range(100)))
    with operated(running := line(tmp_path / "s")):
        (chunk,) = MappedFiles([Path(given["paths"][0])], load_mapping(Path(given["mapping"]))).chunks()
        assert running.collector.load(chunk.slice(0, 40)).accepted == 40
        running.log.commit()
    with operated(running := line(tmp_path / "s")):
        so_far: list[dict[str, int]] = []
        assert ask(tmp_path / "s", "take_in", under_way=lambda **said: so_far.append(said), **given)["new"] == 60
        size = Path(given["paths"][0]).stat().st_size
        assert so_far == [{"completed": size, "total": size, "rows": 100}]
        assert ask(tmp_path / "s", "take_in", **given)["new"] == 0
        (tmp_path / "copy.csv").write_bytes((tmp_path / "users.csv").read_bytes())
        assert ask(tmp_path / "s", "take_in", **{**given, "paths": [str(tmp_path / "copy.csv")]})["new"] == 0
        assert all(profile(running, f"c{at}") == Profile({"age": str(at)}, ("tea",)) for at in range(100))
        changed = written(tmp_path, "c0,50,tea,yes\n")
        assert ask(tmp_path / "s", "take_in", **changed)["new"] == 1
        other = written(tmp_path, "c0,50,tea,yes\n", mapping=MAPPING.replace("age =", "years ="))
        assert ask(tmp_path / "s", "take_in", **other)["new"] == 1
        assert profile(running, "c0") == Profile({"age": "50", "years": "50"}, ("tea",))


def test_profiles_before_and_after_events_go_with_a_forgotten_user(tmp_path: Path) -> None:
    given = written(tmp_path, "before,30-39,tea,yes\nafter,40-49,lamps,yes\n")
    views = [{"user": user, "item": "t1", "kind": "view"} for user in ("before", "after")]
    with operated(running := line(tmp_path / "s")):
        running.collector.collect(views[1:])
        ask(tmp_path / "s", "take_in", **given)
        running.collector.collect(views[:1])
        running.learn_all()
    with operated(running := line(tmp_path / "s")):
        for user, other, age in (("before", "after", "40-49"), ("after", "before", None)):
            key = running.secret.user_key(user)
            assert len(running.stage("featurize").events_of(key)["item"]) == 1
            assert ask(tmp_path / "s", "forget", user=user)["kinds"]["profile"] == 1
            assert profile(running, user) == NOTHING
            assert profile(running, other).attributes.get("age") == age
        assert ask(tmp_path / "s", "take_in", **given)["new"] == 0
        assert profile(running, "after") == NOTHING
    assert exported(tmp_path / "s", "before")["rows"] == []


def test_a_visitor_who_signs_in_brings_their_profile_over_partitions_and_restarts(tmp_path: Path) -> None:
    given = written(tmp_path, "".join(f"v{at},30-39,tea,yes\n" for at in range(6)))
    with operated(running := line(tmp_path / "s")):
        ask(tmp_path / "s", "take_in", **given)
        for at in range(6):
            account = running.secret.user_key(f"a{at}")
            running.collector.control(Kind.ALIAS, running.secret.user_key(f"v{at}"), account=account)
        running.learn_all()
    with operated(running := line(tmp_path / "s")):
        for at in range(6):
            assert profile(running, f"v{at}") == NOTHING
            assert profile(running, f"a{at}") == Profile({"age": "30-39"}, ("tea",))
        assert exported(tmp_path / "s", "v0")["profile"]["attributes"] == {"age": "30-39"}
        assert ask(tmp_path / "s", "forget", user="v0")["kinds"]["profile"] == 2
        assert profile(running, "a0") == NOTHING


def test_a_dry_run_shows_ten_rows_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "x,1,tea,no\n,2,tea,yes\n" + "".join(f"c{at},{at},tea;[b]mugs[/b],yes\n" for at in range(30)))
    call = ["users.csv", "--mapping", "m.toml", "--state", "s", "--dry-run"]
    import_.main(call, standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["user", "attributes", "interests"]
    assert [line_.split() for line_ in lines[1:11]] == [[f"c{at}", f"age={at}", "tea;[b]mugs[/b]"] for at in range(10)]
    assert [line_.split() for line_ in lines[11:]] == [
        *(["rows", "32"], ["kept", "30"], ["without", "consent", "1"]),
        ["rejected", "1", "no", "user", "and", "no", "session:", ",2,tea,yes"],
        ["nothing", "was", "kept:", "a", "dry", "run"],
    ]
    import_.main([*call, "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report["shown"][0] == {"user": "c0", "attributes": {"age": "0"}, "interests": ["tea;[b]mugs[/b]"]}
    assert len(report["shown"]) == 10 and "new" not in report
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.toml", "users.csv"]


def test_a_topic_takes_no_import(tmp_path: Path) -> None:
    given = written(tmp_path, "c1,1,tea,yes\n")
    (tmp_path / "s").mkdir()
    bind(tmp_path / "s", Bound("events", "id", 2))
    call = [*given["paths"], "--mapping", given["mapping"], "--state", str(tmp_path / "s")]
    with pytest.raises(StateError, match="the Kafka topic 'events', which does not know the rows"):
        import_.main(call, standalone_mode=False)


def test_what_users_did_elsewhere_is_learned_as_events(tmp_path: Path) -> None:
    mapping = 'user = "nr"\n[social]\nitem = "likes"\ntime = "age"\n'
    given = written(tmp_path, f"c1,{NOW},t1,\nc1,{NOW + 1},t2,\nc1,99999999999,t2,\n", mapping=mapping)
    with operated(running := line(tmp_path / "s")):
        running.collector.collect(SHOP)
        report = ask(tmp_path / "s", "take_in", **given)
        assert report["rejected"] == {"time is in the future": 1} and report["kept"] == 2
        kinds = running.stage("featurize").events_of(running.secret.user_key("c1"))["kind"]
        assert kinds.tolist() == [Kind.FAVOURITE] * 2


def test_a_file_in_another_encoding_is_told_of_where_it_seems_to_lack_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "c1,30-39,tea,no\nc2,30-39,tea,yes\nc3,30-39,thé,yes\n")
    (tmp_path / "users.csv").write_bytes((tmp_path / "users.csv").read_text().encode("latin-1"))
    import_.main(["users.csv", "--mapping", "m.toml", "--dry-run"], standalone_mode=False)
    counts = [line_.split() for line_ in capsys.readouterr().out.splitlines()[-5:-1]]
    assert counts == [
        ["rows", "3"],
        ["kept", "1"],
        ["without", "consent", "2"],
        ["of", "which", "1", "text", "is", "not", "UTF-8"],
    ]
