"""The recommend topology with other widths, over two workers: its own source with ``par`` put in."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cluster import ROOT

PAR = {"clean": 3, "featurize": 3, "score": 2, "rank": 2, "push": 2}
WORKERS = 2
COMPONENTS = 9 - len(PAR) + sum(PAR.values())  # processes of all workers


def make_project(folder: Path) -> Path:
    """A streamparse project with the topology ``wide``."""
    source = (ROOT / "topologies" / "recommend.py").read_text()
    for name, par in PAR.items():
        source, found = re.subn(rf"( {name} = [\w.]+\.spec\()", rf"\1par={par}, ", source)
        assert found == 1, name
    config = json.loads((ROOT / "config.json").read_text())
    config["envs"]["local"]["options"]["topology.workers"] = WORKERS
    (folder / "topologies").mkdir(parents=True)
    (folder / "topologies" / "wide.py").write_text(source)
    (folder / "config.json").write_text(json.dumps(config))
    return folder
