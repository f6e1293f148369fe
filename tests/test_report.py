"""report: a folder's training and evaluations as a page that shows what they say, and nothing from elsewhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shopguide.artefacts import Artefacts
from shopguide.cli import cli
from shopguide.errors import ShopguideError
from shopguide.report import evaluations, page

RUN = {
    "on": "a <shop>",
    "events": 12345,
    "first": "2011-01-02T03:04:05+00:00",
    "last": "2011-02-03T04:05:06+00:00",
    "seconds": 61.5,
    "spent": {"rnn": 40.0, "questions": 21.5},
    "memory_mb": 2048,
    "left_out": {"dbn": "nobody buys"},
}
MODELS = {
    "rnn": {"epochs": 2, "hr": 0.625, "mrr": 0.3, "k": 20, "history": [[0.5, 0.2], [0.625, 0.3], [0.6, 0.3]]},
    "blend": {"hr": 0.7, "mrr": 0.4, "k": 20, "questions": 900, "linear": {"items": 1.0, "rnn": 0.25, "users": 0.0}},
    "dbn": {"auc": 0.75, "log_loss": 0.12, "rate": 0.02, "reliability": [[50, 0.01, 0.02], [50, 0.1, 0.08]]},
}


class Page(HTMLParser):
    """Its text, its tags, and what it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [
            value or "" for name, value in attrs if name in ("src", "href") and not (value or "").startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.words += [data.strip()] if data.strip() else []


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("evaluated")
    rows = [f"u{k % 7},i{k * k % 11},{1_700_000_000 + 60 * k}" for k in range(400)]
    (folder / "events.csv").write_text("\n".join(["user,item,time", *rows]))
    done = CliRunner().invoke(
        cli, ["evaluate", str(folder / "events.csv"), "--untrained", "--recommender", "all", "--json"]
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def trained(folder: Path) -> str:
    return Artefacts(folder).write({"blend.json": b"{}"}, MODELS, {}, RUN).version


def refusal(*arguments: str) -> str:
    found = CliRunner().invoke(cli, arguments)
    assert isinstance(found.exception, ShopguideError), found.output
    return str(found.exception)


def test_a_page_shows_a_training_and_what_evaluations_found(tmp_path: Path, evaluated: str) -> None:
    trained(tmp_path / "models")
    (tmp_path / "evaluation.json").write_text(evaluated)
    (tmp_path / "other.json").write_text("no json")
    done = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert done.exit_code == 0 and done.output.strip() == str(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    found = Page(html)
    assert "a <shop>" in found.words and "12,345" in found.words and "2,048 MB" in found.words
    assert "nobody buys" in found.words and "0.625" in found.words
    (run,) = json.loads(evaluated)["runs"]
    for result in run["results"]:
        assert f"{result['hr']:.4f}" in found.words
    assert found.tags.count("svg") == 5  # time, epochs, weights, reliability, hit rates
    assert not found.loaded and "@import" not in html and not re.search(r"url\((?!#)", html)


def test_pictures_draw_the_numbers(tmp_path: Path) -> None:
    """Values are found again in the lengths of the bars and the places of the points, by their labels' order."""
    version = trained(tmp_path)
    html = page(Artefacts(tmp_path).open(version), [])
    words = Page(html).words
    assert words.index("items") < words.index("rnn", words.index("items"))  # weights, the largest first
    assert "users" not in words  # which has none
    assert html.count("currentColor") and "var(--accent)" in html


def test_a_page_of_evaluations_alone_and_of_a_named_training(tmp_path: Path, evaluated: str) -> None:
    (tmp_path / "evaluation.json").write_text(evaluated)
    assert page(None, evaluations(tmp_path)).count("<svg") == 1
    version = trained(tmp_path)
    out = tmp_path / "page.html"
    done = CliRunner().invoke(cli, ["report", str(tmp_path), "--version", version, "--out", str(out)])
    assert done.exit_code == 0 and version in out.read_text()


@pytest.mark.parametrize("said", ['{"runs": 1}', '{"runs": [{"dataset": "x"}]}', '{"runs": ["x"]}'])
def test_what_is_no_evaluation_is_refused_by_name(tmp_path: Path, said: str) -> None:
    (tmp_path / "mine.json").write_text(said)
    assert "mine.json" in refusal("report", str(tmp_path))


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    assert "nothing to report" in refusal("report", str(tmp_path))
    assert "there is no version 'x'" in refusal("report", str(tmp_path), "--version", "x")
    trained(tmp_path)
    assert "cannot write" in refusal("report", str(tmp_path), "--out", str(tmp_path / "no" / "page.html"))


def test_equal_reports_are_equal(tmp_path: Path) -> None:
    artefact: Any = Artefacts(tmp_path).open(trained(tmp_path))
    assert page(artefact, []) == page(artefact, [])
