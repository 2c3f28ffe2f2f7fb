"""Latency and memory at lengths that were not measured, from the nearest length that was.

The last measured length times the ratio of what the counted costs make one expect (the sum of a
program's parts, see `roofline.seconds`): no curve is fitted. Against fits of polynomials and powers
this had the smallest worst case, since a fit invents a square term, or misses it, in the noise of
short lengths.
"""

import math
from collections.abc import Callable, Iterable

from effattn_cli.records import Cost, Prediction, Record

#: Seconds to expect of a counted program (see `roofline.seconds`).
Expect = Callable[[Cost], float]

#: Around a latency predicted at twice the measured length: it held 93 % of 467, and at four times,
#: where it is wider, 91 % of 344 (benchmarks/predictions.py).
BAND = 1.3


def band(times: float) -> float:
    """The factor, up and down, around what is predicted at so many times the measured length."""
    return BAND ** math.sqrt(max(1.0, abs(math.log2(times))))


def anchor(record: Record, others: Iterable[Record]) -> Record | None:
    """Of other records of the same curve, the one with the most tokens, batch and all, that has no
    more of them than this one, a known time and a counted cost.
    """
    tokens = _tokens(record)
    near: Record | None = None
    for other in others:
        if other is record or other.cost is None:
            continue
        if (near is None or _tokens(near) < _tokens(other)) and _tokens(other) <= tokens:
            near = other if call_seconds(other) is not None else near
    return near


def _tokens(record: Record) -> int:
    return record.cell.seq * record.cell.setting.batch


def call_seconds(record: Record) -> float | None:
    """Seconds of one call: the median if it was sampled, else what the memory pass saw."""
    if record.failure is not None:
        return None
    if record.runs:
        return record.seconds
    return record.memory.call_seconds if record.memory is not None else None


def seconds(record: Record, others: Iterable[Record], expect: Expect) -> float | None:
    """The expected seconds of one call, `others` being of the same curve; None where the cost could
    not be counted.
    """
    if record.cost is None:
        return None
    near = anchor(record, others)
    if near is None or near.cost is None:
        return expect(record.cost)
    near_seconds = call_seconds(near)
    assert near_seconds is not None
    return near_seconds * expect(record.cost) / expect(near.cost)


def prediction(
    record: Record, others: Iterable[Record], expect: Expect, why: str
) -> Prediction | None:
    """What a cell that was not measured would show, `others` being of the same curve; None where
    nothing shorter was sampled.
    """
    near = anchor(record, [other for other in others if other.runs])
    if near is None or near.cost is None or record.cost is None or near.seconds is None:
        return None
    expected = near.seconds * expect(record.cost) / expect(near.cost)
    around = band(_tokens(record) / _tokens(near))
    return Prediction(
        seconds=expected,
        low=expected / around,
        high=expected * around,
        peak_bytes=_peak(record.cost, near),
        anchor_seq=near.cell.seq,
        why=why,
    )


def _peak(cost: Cost, near: Record) -> int | None:
    """The counted peak, and what kernels took beyond it where it was measured."""
    if near.memory is None or near.cost is None:
        return None
    return cost.peak_bytes + max(0, near.memory.peak_bytes - near.cost.peak_bytes)
