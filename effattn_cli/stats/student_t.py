"""Student's t distribution and the functions beside it, without scipy's second of loading."""

import math
from functools import cache

NORMAL = 1e6  # degrees of freedom from which on there is no difference
FARTHEST = 1e100  # its square is a number yet


@cache
def t_sf(t: float, dof: float) -> float:
    """The two-sided p-value: the probability that |T| exceeds t, for so many degrees of freedom,
    which may be infinite.
    """
    if math.isinf(dof) or dof > NORMAL:
        return math.erfc(t / math.sqrt(2))
    return _incomplete_beta(dof / 2, 0.5, dof / (dof + t * t))


@cache
def t_ppf(alpha: float, dof: float) -> float:
    """The critical value: the t that |T| exceeds with the probability `alpha`.

    By Newton's steps in the logarithms of both, where the tail is concave: they cannot go astray.
    """
    t, wanted = 2.0, math.log(alpha)
    for _ in range(300):
        now = t_sf(t, dof)
        step = min(1.0, (math.log(now) - wanted) * now / (2 * t * _density(t, dof)))
        t *= math.exp(step)
        if abs(step) < 1e-12 or t > FARTHEST:
            break
    return t


def _density(t: float, dof: float) -> float:
    if math.isinf(dof) or dof > NORMAL:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    front = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2)
    log = front - (dof + 1) / 2 * math.log1p(t * t / dof)
    return math.exp(log) / math.sqrt(dof * math.pi)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized one, by its continued fraction, which is short on one side of the mean."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 1000):
        step = 1.0
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + factor * d)
            c = 1 + factor / c
            step *= c * d
        fraction *= step
        if abs(step - 1) < 1e-12:
            break
    return math.exp(log_front) * fraction / a


@cache
def digamma(x: float) -> float:
    total = 0.0
    while x < 8:
        total, x = total - 1 / x, x + 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return total + math.log(x) - 0.5 / x - series


@cache
def trigamma(x: float) -> float:
    total = 0.0
    while x < 8:
        total, x = total + 1 / (x * x), x + 1
    square = 1 / (x * x)
    series = square * (1 / 6 - square * (1 / 30 - square * (1 / 42 - square / 30)))
    return total + (1 + series) / x + square / 2


def inverse_trigamma(y: float) -> float:
    """Where trigamma is y > 0: it falls, so by halves, in the logarithm."""
    low, high = 1e-8, 1e8
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if trigamma(middle) > y else (low, middle)
    return high
