"""The words of what cells are compared by, and how its amounts are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from effattn_cli import units
from effattn_cli.metrics import Metric


@dataclass(frozen=True, slots=True)
class Told:
    title: str
    scale: Callable[[float], str]
    better: str = "less"
    worse: str = "more"


TOLD: Mapping[Metric, Told] = {
    "latency": Told("latency", units.seconds, "faster", "slower"),
    "memory": Told("memory", units.size),
    "state": Told("state", units.size),
    "energy": Told("energy", units.joules),
    "flops": Told("FLOPs", units.count),
}
