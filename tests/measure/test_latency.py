"""When sampling stops, by a clock that is told what to say."""

from collections.abc import Callable, Iterable

import pytest

from effattn_cli.analyse.median import half_width, interval
from effattn_cli.measure.latency import _quieter, sample
from effattn_cli.records import Sampling
from tests.builders import a_round


def playing(seconds: Iterable[float]) -> Callable[[], float]:
    left = iter(seconds)
    return lambda: next(left)


def steady(value: float, noise: float = 0.0) -> Iterable[float]:
    number = 0
    while True:
        number += 1
        yield value * (1 + noise * (-1) ** number)


def test_a_steady_clock_is_believed_soon() -> None:
    found = sample(playing(steady(1e-3)), Sampling())
    assert found.stopped == "steady"
    assert len(found.samples) == 8
    assert found.warmup == 3
    assert found.median == 1e-3


def test_warming_up_goes_on_until_two_calls_agree() -> None:
    slow = [0.010, 0.005, 0.0025, 0.00125]
    found = sample(playing([*slow, *[0.001] * 100]), Sampling())
    assert found.warmup == len(slow) + 2
    assert found.first_seconds == 0.010
    assert set(found.samples) == {0.001}


def test_a_noisy_clock_is_asked_more_often_up_to_a_cap() -> None:
    found = sample(playing(steady(1e-6, noise=0.5)), Sampling(max_samples=64))
    assert (found.stopped, len(found.samples)) == ("count", 64)


def test_a_slow_call_is_made_once_to_warm_up_and_once_to_measure() -> None:
    found = sample(playing(steady(4.0)), Sampling())
    assert (found.stopped, len(found.samples), found.warmup) == ("time", 1, 1)


def test_outliers_are_kept() -> None:
    found = sample(playing([1.0, 0.1, 0.1, 0.1, 99.0, 0.1]), Sampling(seconds=50))
    assert 99.0 in found.samples


@pytest.mark.parametrize("number", [6, 9, 30, 200])
def test_the_interval_of_the_median_covers_it_95_times_in_a_hundred(number: int) -> None:
    import numpy as np

    draws = np.random.default_rng(number).exponential(size=(4000, number))
    found = [interval(row.tolist()) for row in draws]
    inside = sum(low <= np.log(2) <= high for low, high in filter(None, found))
    assert len(found) == 4000
    assert inside / 4000 >= 0.94


def test_few_samples_have_no_interval() -> None:
    assert interval([1.0] * 5) is None
    assert half_width([1.0] * 6) == 0.0


def test_of_two_tries_beside_other_load_the_quieter_one_counts_and_both_are_kept() -> None:
    busy, calm = a_round(3e-3, foreign_load=0.9), a_round(1e-3, foreign_load=0.0)
    busier = a_round(2e-3, foreign_load=1.2)
    again = _quieter(busy, calm)
    assert (again.samples, again.contended) == (calm.samples, busy.samples)
    assert again.first_seconds == busy.first_seconds
    first = _quieter(busy, busier)
    assert (first.samples, first.contended) == (busy.samples, busier.samples)
    assert first.foreign_load == 0.9
