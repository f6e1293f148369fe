"""Does a visit buy? The belief network beside boosting, logistic regression, the hand-set logistic and the rate.

    SHOPGUIDE_DATA=DIR python bench/bench_intent.py [--json FILE]

The newest fifth of the visits is asked for, after each of their events until they buy. Epochs, trees, leaves and
penalty are chosen on the same slices of the rest. 95 % intervals by bootstrap over visits; the difference in log-loss
is to the rate of the training part, said for everybody. Last but one: one row a visit, without its last event.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from table import machine

from shopguide.evaluate.data import in_time, open_dataset
from shopguide.evaluate.metrics import Bootstrap
from shopguide.evaluate.protocols import by_session
from shopguide.featurize.looks import intent
from shopguide.intent import Prefixes, prefixes
from shopguide.networks.dbn import INPUT, slices, train
from shopguide.probabilities import auc, calibration_error, losses, reliability
from shopguide.records import Events, Kind

try:
    import lightgbm
    import onnxruntime
    from sklearn.linear_model import LogisticRegression
except ImportError as missing:
    print(f"purchase intent: not run: {missing}")
    sys.exit()

DATA = Path(os.environ.get("SHOPGUIDE_DATA", "../shared/data"))
SETS = ("jd_appliances", "rees46_2019oct_3h")
DOUBLED = ("jd_appliances",)  # visits that stand in both of its files
TEST = 0.2
PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1.0)  # C of the logistic regression
LEAVES, TREES = (4, 8, 15), 300
LAYOUT = "{:<18} {:<20} {:>22} {:>28} {:>8} {:>22} {:>8}  {}"

F64 = NDArray[np.float64]
Model = Callable[[NDArray[np.float32]], F64]


def visits_of(name: str) -> list[Events]:
    visits = by_session(in_time(open_dataset(DATA / name, None).train))
    if name in DOUBLED:
        visits = list({(v.item.tobytes(), v.kind.tobytes()): v for v in reversed(visits)}.values())[::-1]
    return visits


def logistic(rows: Prefixes) -> tuple[Model, str]:
    def fitted(at: Any, c: float) -> Any:
        return LogisticRegression(C=c, max_iter=5000).fit(rows.features[at], rows.buys[at])

    def loss(c: float) -> float:
        return sum(
            losses(fitted(before, c).predict_proba(rows.features[after])[:, 1], rows.buys[after]).sum()
            for before, after in slices(rows.buys, rows.visit)
        )

    best = min(PENALTIES, key=loss)
    model = fitted(slice(None), best)
    return lambda features: model.predict_proba(features)[:, 1], f"C {best:g}"


def boosting(rows: Prefixes) -> tuple[Model, str]:
    def fitted(at: Any, leaves: int, trees: int) -> Any:
        parameters = {"objective": "binary", "learning_rate": 0.03, "num_leaves": leaves, "min_data_in_leaf": 100}
        parameters |= {"feature_fraction": 0.5, "verbose": -1, "seed": 7, "deterministic": True, "num_threads": 1}
        return lightgbm.train(parameters, lightgbm.Dataset(rows.features[at], rows.buys[at]), trees)

    found = {}
    for leaves in LEAVES:
        parts = [(fitted(b, leaves, TREES), a) for b, a in slices(rows.buys, rows.visit)]
        for trees in range(1, TREES + 1, 3):
            said = [(m.predict(rows.features[a], num_iteration=trees), rows.buys[a]) for m, a in parts]
            found[leaves, trees] = sum(losses(*one).sum() for one in said)
    leaves, trees = min(found, key=found.__getitem__)
    return fitted(slice(None), leaves, trees).predict, f"{trees} trees of {leaves} leaves"


def network(rows: Prefixes) -> tuple[Model, str]:
    trained = train(rows.features, rows.buys, rows.visit)
    session = onnxruntime.InferenceSession(trained.graph, providers=["CPUExecutionProvider"])
    how = "{epochs} epochs, slope {slope:.2f}, shift {shift:.2f}".format(**trained.said)
    return lambda features: session.run(None, {INPUT: features})[0].astype(np.float64), how


def hand_set(visits: list[Events]) -> F64:
    """The logistic of the line without a network, row by row."""
    said = []
    for visit in visits:
        bought = np.flatnonzero(visit.kind == Kind.PURCHASE)
        until = int(bought[0]) if len(bought) else len(visit)
        said += [intent(visit.kind[:n], visit.item[:n]) for n in range(1, until + 1)]
    return np.array(said)


class Judge:
    """Measures of what is said of the test rows, against the training part's rate."""

    def __init__(self, name: str, rows: Prefixes, rate: float) -> None:
        self.name, self.rows, self.bootstrap = name, rows, Bootstrap(rows.visit)
        self.base = losses(np.full(len(rows.buys), rate), rows.buys)
        ends = np.flatnonzero(np.append(np.diff(rows.visit) != 0, True))
        places = np.diff(ends, prepend=-1)
        at = ends - ~rows.buys[ends]
        self.last_but_one = at[places > ~rows.buys[ends]]
        self.found: list[dict[str, Any]] = []

    def judge(self, model: str, said: F64, seconds: float, how: str) -> None:
        true, last = self.rows.buys, self.last_but_one
        gain = losses(said, true) - self.base
        visits = Bootstrap(self.rows.visit[last])
        one = {
            "data": self.name, "model": model, "how": how, "seconds": round(seconds, 1),
            "auc": auc(said, true), "auc_ci95": self.bootstrap.interval_of(lambda w: auc(said, true, w)),
            "log_loss": float(losses(said, true).mean()),
            "less_rate": float(gain.mean()), "less_rate_ci95": self.bootstrap.interval(gain),
            "calibration_error": calibration_error(said, true),
            "last_auc": auc(said[last], true[last]),
            "last_auc_ci95": visits.interval_of(lambda w: auc(said[last], true[last], w)),
            "last_less_rate": float(gain[last].mean()),
            "reliability": reliability(said, true),
        }  # fmt: skip
        self.found.append(one)
        print(
            LAYOUT.format(
                self.name,
                model,
                "{:.3f} ({:.3f}-{:.3f})".format(one["auc"], *one["auc_ci95"]),
                "{:+.4f} ({:+.4f}-{:+.4f})".format(one["less_rate"], *one["less_rate_ci95"]),
                f"{one['calibration_error']:.4f}",
                "{:.3f} ({:.3f}-{:.3f})".format(one["last_auc"], *one["last_auc_ci95"]),
                f"{one['last_less_rate']:+.4f}",
                f"{how}; {seconds:.0f} s" if how else "",
            ).rstrip(),
            flush=True,
        )


def compare(name: str) -> list[dict[str, Any]]:
    visits = visits_of(name)
    events = Events.join(visits)
    rows = prefixes(events.kind, events.item, events.time, events.session)
    first = int(len(visits) * (1 - TEST))
    learned, asked = (
        Prefixes(*(column[part] for column in rows)) for part in (rows.visit < first, rows.visit >= first)
    )
    buyers = [len(np.unique(part.visit[part.buys])) for part in (learned, asked)]
    print(f"{name}: {len(visits):,} visits; learned {len(learned.buys):,} rows, {buyers[0]} visits buy, ", end="")
    print(f"{learned.buys.mean():.4f} of rows; asked {len(asked.buys):,}, {buyers[1]}, {asked.buys.mean():.4f}")
    judge = Judge(name, asked, float(learned.buys.mean()))
    judge.judge("rate", np.full(len(asked.buys), learned.buys.mean()), 0, "")
    judge.judge("hand-set", hand_set(visits[first:]), 0, "")
    said = {}
    for model, fit in (("logistic regression", logistic), ("boosting", boosting), ("DBN", network)):
        begin = time.monotonic()
        predict, how = fit(learned)
        said[model] = predict(asked.features)
        judge.judge(model, said[model], time.monotonic() - begin, how)
    for model in ("logistic regression", "boosting"):
        apart = judge.bootstrap.compare(losses(said["DBN"], asked.buys), losses(said[model], asked.buys))
        ranked = judge.bootstrap.interval_of(
            lambda w, other=said[model]: auc(said["DBN"], asked.buys, w) - auc(other, asked.buys, w)
        )
        print(
            f"  DBN less {model}: log-loss {apart.difference:+.4f} ({apart.ci95[0]:+.4f}-{apart.ci95[1]:+.4f})", end=""
        )
        print(f", AUC ({ranked[0]:+.3f}-{ranked[1]:+.3f})")
    print(
        "  DBN, tenths of the rows: " + "  ".join(f"{b.said:.3f}/{b.true:.3f}" for b in judge.found[-1]["reliability"])
    )
    return judge.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(machine())
    head = ("data", "model", "AUC", "log-loss less the rate's", "calib.", "last but one: AUC", "log-loss", "")
    print(LAYOUT.format(*head).rstrip())
    found = [one for name in SETS if (DATA / name).is_dir() for one in compare(name)]
    if not found:
        print(f"not run: no data in {DATA}; SHOPGUIDE_DATA names the directory of the data sets")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
