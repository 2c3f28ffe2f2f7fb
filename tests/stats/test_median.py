"""How well a median is known."""

from statistics import NormalDist

import pytest

from effattn_cli.stats import median


@pytest.mark.parametrize("number", [median.MANY + 1, 900, 4000])
def test_the_interval_of_many_samples_is_that_of_the_coins(number: int) -> None:
    found = median.interval(range(1, number + 1))
    assert found is not None
    low, high = found
    assert low + high == number + 1
    coins = NormalDist(number / 2, number**0.5 / 2)
    assert 0.95 < 1 - 2 * coins.cdf(low - 0.5) < 0.965
