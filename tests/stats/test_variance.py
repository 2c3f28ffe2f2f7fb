"""What a sweep says of its own noise."""

import math
import random
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.stats import variance
from effattn_cli.stats.variance import Variance

LOGS = st.lists(st.floats(-5, 5), min_size=1, max_size=5)


def variances(rng: random.Random, deviations: list[float], runs: int = 3) -> list[Variance]:
    return [
        variance.own([[rng.gauss(0, deviation) for _ in range(runs)] for _ in range(2)])
        for deviation in deviations
    ]


def test_cells_that_are_alike_teach_one_another_and_others_do_not() -> None:
    rng = random.Random(1)
    alike = variance.prior(variances(rng, [0.06] * 100))
    assert math.sqrt(alike.value) == pytest.approx(0.06, rel=0.05)
    assert alike.dof > 30
    unlike = variance.prior(variances(rng, [0.01, 0.3] * 50))
    assert unlike.dof < 2


def test_a_cell_is_shrunken_towards_the_others() -> None:
    shrunken = variance.shrunken(Variance(0.04, 4), Variance(0.01, 8))
    assert shrunken.value == pytest.approx(0.02)
    assert shrunken.dof == 12


def test_a_sweep_of_single_runs_has_the_noise_that_is_usual() -> None:
    prior = variance.prior(variances(random.Random(0), [0.01] * 9, runs=1))
    assert prior == Variance(variance.USUAL**2, variance.USUAL_DOF)


def test_one_cell_alone_knows_only_itself() -> None:
    (own,) = variances(random.Random(0), [0.05])
    assert variance.shrunken(own, variance.prior([own])).dof == own.dof


def test_runs_that_agree_to_the_bit_are_luck() -> None:
    still = variance.own([[1.0, 1.0, 1.0], [1.0, 1.0]])
    assert variance.shrunken(still, variance.prior([still] * 5)).value >= 1e-6


@given(LOGS, LOGS)
def test_a_shift_mirrors_and_follows_what_is_added(old: list[float], new: list[float]) -> None:
    assert variance.shift(old, new) == pytest.approx(-variance.shift(new, old), abs=1e-12)
    moved = [log + 0.25 for log in new]
    assert variance.shift(old, moved) == pytest.approx(variance.shift(old, new) + 0.25, abs=1e-12)


def test_one_disturbed_run_hardly_moves_a_shift() -> None:
    quiet, disturbed = [0.0, 0.01, 0.02], [0.0, 0.02, 3.0]
    assert abs(variance.shift(quiet, disturbed)) < 0.03


@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (3, 3), (3, 6), (10, 10)])
def test_the_variance_of_a_shift(sides: tuple[int, int]) -> None:
    rng = random.Random(sum(sides))
    found = [
        variance.shift(*([rng.gauss(0, 1) for _ in range(number)] for number in sides))
        for _ in range(6000)
    ]
    assert pvariance(found) == pytest.approx(variance.factor_of_shift(*sides), rel=0.1)
    assert abs(fmean(found)) < 0.06


@pytest.mark.parametrize("truth", [0.0, 0.5, 1.0])
def test_the_sensitivity_is_the_slope_within_cells(truth: float) -> None:
    rng = random.Random(1)

    def cell(middle: float) -> list[tuple[float, float]]:
        kernels = [0.35 * (rng.random() < 0.5) for _ in range(3)]
        return [(kernel, middle + truth * kernel + rng.gauss(0, 0.04)) for kernel in kernels]

    found = variance.sensitivity([cell(rng.uniform(-9, 0)) for _ in range(60)])
    assert found is not None
    assert found.slope == pytest.approx(truth, abs=0.08)
    assert 0.1 < found.error < 0.25  # of a slope between two runs


def test_a_disturbed_run_hardly_moves_a_sensitivity() -> None:
    quiet = [[(0.0, 0.0), (0.3, 0.1), (0.31, 0.11)]] * 8
    for runs in (quiet, [*quiet, [(0.0, 3.0), (0.3, 0.0)]]):
        found = variance.sensitivity(runs)
        assert found is not None
        assert found.slope == pytest.approx(1 / 3, rel=0.1)


def test_runs_that_hardly_differ_say_nothing_of_a_sensitivity() -> None:
    assert variance.sensitivity([[(0.0, 0.0), (0.19, 0.3), (0.05, 0.1)]] * 30) is None
    assert variance.sensitivity([[(0.0, 0.0), (0.3, 0.3)]] * 5) is None
    assert variance.sensitivity([[(0.0, 0.0), (0.3, 0.3)]] * 6) == variance.Sensitivity(1.0, 0.0)
    unsure = variance.sensitivity([[(0.0, 0.0), (0.3, 0.3)], [(0.0, 0.3), (0.3, 0.0)]] * 6)
    assert unsure == variance.Sensitivity(0.0, variance.UNKNOWN.error)
