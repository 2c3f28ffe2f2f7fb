"""Limits as they are typed: `50ms`, `p95<=50ms`, `2GiB`, `3J`."""

import re
from reprlib import repr as shortened

from effattn_cli.analysis.selection.candidates import RESOURCES, Limit
from effattn_cli.errors import UsageError
from effattn_cli.metrics import LATENCY, percentile

EXAMPLE = "'p95<=50ms'"  # with the quotes that a shell needs
_QUANTILE = re.compile(r"(?:p([0-9]{1,2}(?:\.[0-9]{1,3})?)|median)\s*<=?\s*(.+)")


def limit(resource: str, text: str) -> Limit:
    """The limit of a resource; of the latency its median, or the percentile that is named.

    >>> found = limit("latency", "p95<=50ms")
    >>> found.metric.name, found.max
    ('p95', 0.05)
    """
    if resource == "latency":
        return _latency(text)
    metric = RESOURCES[resource]
    assert metric.parse is not None
    return Limit(metric=metric, max=metric.parse(text, f"--{resource}"))


def _latency(text: str) -> Limit:
    match = _QUANTILE.fullmatch(text.strip())
    if match is None and re.match(r"\s*p?[0-9.]+\s*[<>=]|\s*p[0-9]", text):
        hint = f"quote it, or the shell takes < for a redirection: --latency {EXAMPLE}"
        raise UsageError(f"--latency: {shortened(text)} is not a valid limit", hint)
    assert LATENCY.parse is not None
    seconds = LATENCY.parse(match[2] if match else text, "--latency")
    if match is None or match[1] is None:
        return Limit(metric=LATENCY, max=seconds)
    quantile = float(match[1]) / 100
    if not quantile:
        raise UsageError("--latency: p0 is not a valid limit", f"--latency {EXAMPLE}")
    return Limit(metric=percentile(quantile), max=seconds)
