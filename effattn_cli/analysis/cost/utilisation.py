"""How near a cell comes to what its device can do, and what bounds it.

The roofline model (Williams et al. 2009): a program cannot be faster than its products at the
device's best rate, than its bytes at the bandwidth of the memory that they fit in, or than its
operators one after another. FLOPs, bytes and operators are counted, the rates are measured.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Literal

from effattn_cli.records import Bandwidth, Cost, Record, Roofline
from effattn_cli.setting import Setting

Bound = Literal["compute", "bandwidth", "overhead"]

#: For a first guess where nothing has been measured yet.
ANY = Roofline(
    device="", dtype="float32", threads=1, flops=1e11, exponentials=1e9,
    bandwidths=(Bandwidth(working_set_bytes=1, speed=1e10),), dispatch=3e-6,
)  # fmt: skip

#: Seconds of a call by itself, whatever it does.
CALL = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Utilisation:
    """A measured cell against its roofline."""

    fraction: float  # of the roofline; 1 is all that the device can do with this program
    bound: Bound


def joined(*several: Iterable[Roofline]) -> tuple[Roofline, ...]:
    """Of a place that several know, the last one's."""
    by_place = {place(roofline): roofline for rooflines in several for roofline in rooflines}
    return tuple(by_place.values())


def place(where: Setting | Roofline) -> tuple[str, str, int]:
    return where.device, where.dtype, where.threads


def of(setting: Setting, rooflines: Iterable[Roofline]) -> Roofline | None:
    """The roofline that cells of this setting run under."""
    return next((roofline for roofline in rooflines if place(roofline) == place(setting)), None)


def limits(cost: Cost, roofline: Roofline) -> dict[Bound, float]:
    """Seconds below which the counted program cannot run, for each thing that it needs."""
    working_set = cost.moved_bytes / max(cost.operators, 1)
    return {
        "compute": cost.matmul_flops / roofline.flops
        + cost.transcendentals / roofline.exponentials,
        "bandwidth": cost.moved_bytes / bandwidth(roofline, working_set),
        "overhead": cost.operators * roofline.dispatch,
    }


def seconds(cost: Cost, roofline: Roofline) -> float:
    """Seconds to expect of the counted program: what it needs, one thing after the other.

    Few operators overlap their products with their bytes, and a program is of many operators, each
    bound by another thing: predictions from the greatest part alone were off by half as much again
    at worst.
    """
    return sum(limits(cost, roofline).values()) + CALL


def utilisation(record: Record, rooflines: Iterable[Roofline]) -> Utilisation | None:
    """None where nothing was measured, nothing could be counted, or the program is another one."""
    roofline = of(record.cell.setting, rooflines)
    counted = record.cost is not None and record.cell.setting.engine == "eager"
    if roofline is None or not counted or record.status != "measured" or not record.seconds:
        return None
    assert record.cost is not None
    seconds = limits(record.cost, roofline)
    bound = max(seconds, key=lambda name: seconds[name])
    return Utilisation(fraction=seconds[bound] / record.seconds, bound=bound)


def bandwidth(roofline: Roofline, working_set: float) -> float:
    """Bytes a second of an operator with such a working set: by its place between two measured
    sizes, in the logarithm.
    """
    points = sorted((point.working_set_bytes, point.speed) for point in roofline.bandwidths)
    if working_set <= points[0][0]:
        return points[0][1]
    for (low, slow), (high, fast) in pairwise(points):
        if working_set <= high:
            fraction = log(working_set / low) / log(high / low)
            return float(slow ** (1 - fraction) * fast**fraction)
    return points[-1][1]
