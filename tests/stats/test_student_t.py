"""The t distribution against mpmath, to which torch's own dependencies lead."""

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.stats.student_t import digamma, inverse_trigamma, t_ppf, t_sf, trigamma


@pytest.mark.parametrize("dof", [0.5, 1, 2, 4, 7.3, 50, 300, 1e5])
@pytest.mark.parametrize("t", [0, 1e-3, 0.5, 1, 2, 5, 30, 1e4])
def test_the_tail_is_that_of_mpmath(t: float, dof: float) -> None:
    x = mpmath.mpf(dof) / (mpmath.mpf(dof) + mpmath.mpf(t) ** 2)
    expected = float(mpmath.betainc(dof / 2, 0.5, 0, x, regularized=True))
    assert t_sf(t, dof) == pytest.approx(expected, rel=1e-9, abs=1e-290)


def test_without_limit_it_is_the_normal_distribution() -> None:
    assert t_sf(1.959963984540054, math.inf) == pytest.approx(0.05, rel=1e-9)
    assert t_ppf(0.05, math.inf) == pytest.approx(1.959963984540054, rel=1e-9)
    assert t_ppf(0.05, 4) == pytest.approx(2.7764451051977987, rel=1e-9)


@given(st.floats(1e-9, 0.99), st.floats(0.05, 2e6))
def test_the_critical_value_is_where_the_tail_is(alpha: float, dof: float) -> None:
    t = t_ppf(alpha, dof)
    assert t > 1e100 or t_sf(t, dof) == pytest.approx(alpha, rel=1e-6, abs=1e-12)


@given(st.floats(0.05, 1e6))
def test_the_functions_beside_it(x: float) -> None:
    assert digamma(x) == pytest.approx(float(mpmath.digamma(x)), rel=1e-9, abs=1e-10)
    assert trigamma(x) == pytest.approx(float(mpmath.psi(1, x)), rel=1e-9)
    assert inverse_trigamma(trigamma(x)) == pytest.approx(x, rel=1e-5)
