"""One real cluster for all tests here, on ports of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import PROJECT, Cluster, build_jar


@pytest.fixture(scope="module", autouse=True)
def partitions() -> Iterator[None]:
    """More than one of every log, so that tasks side by side have something to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOPGUIDE_LOG_PARTITIONS", "4")
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Running, of one supervisor with four slots."""
    cluster = Cluster(tmp_path_factory.mktemp("storm"))
    cluster.up()
    yield cluster
    cluster.down()


@pytest.fixture(scope="module")
def pair(cluster: Cluster) -> Iterator[Cluster]:
    """The same, of two supervisors for a while."""
    cluster.up(supervisors=2)
    yield cluster
    cluster.dismiss("supervisor-2")


@pytest.fixture(scope="session")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the project beside these tests."""
    return build_jar(PROJECT, tmp_path_factory.mktemp("jar") / "counting.jar")
