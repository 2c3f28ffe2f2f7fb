"""Limits as they are typed: `50ms`, `p95<=50ms`, `2GiB`, `3J`."""

import re
from reprlib import repr as shortened

from effattn_cli.analysis.selection.candidates import Limit
from effattn_cli.errors import UsageError
from effattn_cli.quantities import parse_bytes, parse_seconds

JOULES = {"uj": 1e-6, "µj": 1e-6, "mj": 1e-3, "j": 1.0, "kj": 1e3}
_QUANTILE = re.compile(r"(?:p([0-9]{1,2}(?:\.[0-9]{1,3})?)|median)\s*<=?\s*(.+)")
_ENERGY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-zµ]+)")


def latency(text: str) -> Limit:
    """Of the median, or of the quantile that it names.

    >>> latency("p95<=50ms")
    Limit(resource='latency', most=0.05, share=0.95)
    """
    found = _QUANTILE.fullmatch(text.strip())
    if found is None and re.match(r"\s*p?[0-9.]+\s*[<>=]|\s*p[0-9]", text):
        hint = "write 'p95<=50ms', or '50ms' for the median"
        raise UsageError(f"--latency: {shortened(text)} is no limit", hint)
    seconds = parse_seconds(found[2] if found else text, "--latency")
    if found is None or found[1] is None:
        return Limit(resource="latency", most=seconds)
    share = float(found[1]) / 100
    if not share:
        raise UsageError("--latency: p0 is no limit", "write 'p95<=50ms'")
    return Limit(resource="latency", most=seconds, share=share)


def memory(text: str) -> Limit:
    return Limit(resource="memory", most=parse_bytes(text, "--memory"))


def energy(text: str) -> Limit:
    """Of a call.

    >>> energy("200mJ")
    Limit(resource='energy', most=0.2, share=None)
    """
    found = _ENERGY.fullmatch(text.strip())
    scale = JOULES.get(found[2].lower()) if found else None
    if found is None or scale is None or not float(found[1]):
        near = f"did you mean '{text}J'?" if re.fullmatch(r"[0-9.]+", text) else None
        raise UsageError(f"--energy: {shortened(text)} is no energy like 3J or 200mJ", near)
    return Limit(resource="energy", most=float(found[1]) * scale)
