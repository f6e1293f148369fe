"""A restricted Boltzmann machine: its formulas by enumeration, and that it learns, beside scikit-learn's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from shopguide.networks.rbm import RBM, fit, sigmoid


def tiny(seed: int = 1, visible: int = 4, hidden: int = 3) -> RBM:
    random = np.random.default_rng(seed)
    return RBM(random.normal(size=(visible, hidden)), random.normal(size=visible), random.normal(size=hidden))


def states(n: int) -> np.ndarray:
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def unnormalised(rbm: RBM) -> np.ndarray:
    """Of each visible state, the plain sum over all hidden ones of exp(-E)."""
    v, h = states(len(rbm.visible)), states(len(rbm.hidden))
    return np.exp(v @ rbm.weights @ h.T + (v @ rbm.visible)[:, None] + h @ rbm.hidden).sum(1)


def likelihood(rbm: RBM, rows: np.ndarray) -> float:
    """The exact mean log-likelihood of binary rows."""
    p = unnormalised(rbm) / unnormalised(rbm).sum()
    number = (rows @ 2.0 ** np.arange(rows.shape[1])[::-1]).astype(int)
    return float(np.log(p[number]).mean())


def test_free_energy_sums_out_the_hidden_units() -> None:
    rbm = tiny()
    assert np.exp(-rbm.free_energy(states(4))) == pytest.approx(unnormalised(rbm))


def test_the_gradient_is_that_of_the_exact_likelihood() -> None:
    """With fantasies from the model, by finite differences. Linear in the fantasies, so each state counts its share."""
    rbm, rows = tiny(), states(4)[[1, 3, 3, 12, 14, 7]]
    share = unnormalised(rbm) / unnormalised(rbm).sum()
    found = [rbm.gradient(rows, state[None]) for state in states(4)]
    for name in ("weights", "visible", "hidden"):
        exact = np.zeros_like(getattr(rbm, name))
        for at in np.ndindex(exact.shape):
            moved = []
            for by in (1e-5, -1e-5):
                changed = {n: getattr(rbm, n).copy() for n in ("weights", "visible", "hidden")}
                changed[name][at] += by
                moved.append(likelihood(RBM(**changed), rows))
            exact[at] = (moved[0] - moved[1]) / 2e-5
        assert sum(p * getattr(g, name) for p, g in zip(share, found, strict=True)) == pytest.approx(exact, abs=1e-8)


def test_a_step_of_gibbs_sampling_keeps_the_models_own_distribution() -> None:
    rbm, random = tiny(3), np.random.default_rng(5)
    share = unnormalised(rbm) / unnormalised(rbm).sum()
    rows = states(4)[random.choice(16, 200_000, p=share)]
    assert rbm.fantasies(rows, random).mean(0) == pytest.approx(share @ states(4), abs=0.005)


def test_the_pseudo_likelihood_is_of_each_unit_given_the_others() -> None:
    rbm, rows = tiny(), states(4)
    p = dict(zip(map(tuple, rows), unnormalised(rbm), strict=True))
    expected = []
    for row in rows:
        flipped = [tuple(np.where(np.arange(4) == i, 1 - row, row)) for i in range(4)]
        expected.append(sum(np.log(p[tuple(row)] / (p[tuple(row)] + p[other])) for other in flipped))
    assert rbm.pseudo_likelihood(rows) == pytest.approx(np.mean(expected))
    half = np.array([[0.5, 1.0, 0.0, 1.0]])  # a unit that is a probability lies between the two states, each expected
    assert -10 < rbm.pseudo_likelihood(half) < 0


def patterns(n: int, seed: int) -> np.ndarray:
    """Two halves of twelve units that mostly agree within themselves."""
    random = np.random.default_rng(seed)
    halves = np.repeat(random.integers(0, 2, (n, 2)), 6, axis=1).astype(np.float64)
    return np.where(random.random(halves.shape) < 0.1, 1 - halves, halves)


def test_training_makes_tiny_data_more_probable() -> None:
    rows = np.repeat(states(4)[[3, 12]], 200, axis=0)
    likelihoods = []
    fit(rows, 3, 60, 1, lambda epoch, rbm: likelihoods.append(likelihood(rbm, rows)))
    assert likelihoods[0] < likelihoods[30] < likelihoods[-1]
    assert -1.5 < likelihoods[-1] < np.log(0.5)  # two states of sixteen: -0.69 is the best there is


def test_the_pseudo_likelihood_rises_as_scikit_learns_does() -> None:
    """On its digits, by one measure; its own, of one unit a row, agrees with that on binary rows."""
    network, datasets = (pytest.importorskip(f"sklearn.{name}") for name in ("neural_network", "datasets"))
    digits = datasets.load_digits().data / 16
    rows, others = digits[:1400], digits[1400:]
    ours: list[float] = []
    fit(rows, 24, 6, 1, lambda epoch, rbm: ours.append(rbm.pseudo_likelihood(others)))
    theirs = []
    machine = network.BernoulliRBM(24, learning_rate=0.05, batch_size=64, random_state=1)
    for epoch in range(6):
        for part in np.array_split(np.random.default_rng(epoch).permutation(len(rows)), len(rows) // 64):
            machine.partial_fit(rows[part])
        same = RBM(machine.components_.T, machine.intercept_visible_, machine.intercept_hidden_)
        theirs.append(same.pseudo_likelihood(others))
    for trend in (ours, theirs):
        assert trend[-1] > trend[0] + 1 and np.corrcoef(np.arange(6), trend)[0, 1] > 0.7
    assert ours[-1] > theirs[-1] - 1
    binary = np.tile((others > 0.5).astype(np.float64), (10, 1))
    assert machine.score_samples(binary).mean() == pytest.approx(same.pseudo_likelihood(binary), rel=0.03)


def test_the_same_seed_is_the_same_machine() -> None:
    rows = patterns(300, 1)
    one, same, other = (fit(rows, 5, 2, seed) for seed in (1, 1, 2))
    assert all((getattr(one, n) == getattr(same, n)).all() for n in ("weights", "visible", "hidden"))
    assert (one.weights != other.weights).any()


def test_a_unit_that_never_changes_breaks_nothing() -> None:
    rows = patterns(300, 1)
    rows[:, 0], rows[:, 1] = 0, 1
    rbm = fit(rows, 5, 5, 1)
    said = rbm.down(rbm.up(rows)).mean(0)
    assert said[0] < 0.1 and said[1] > 0.9 and np.isfinite(rbm.weights).all()


def test_sigmoid_has_no_overflow() -> None:
    assert sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
