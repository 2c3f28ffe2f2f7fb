"""How what is counted of a variant grows with the length."""

from collections.abc import Mapping
from typing import Any

from effattn_cli.analysis.cost.scaling import Scaling, measured_exponent
from effattn_cli.attention import Layer
from effattn_cli.measure.counting import count
from effattn_cli.records import Cell
from effattn_cli.setting import Setting


def scaling(
    variant: type[Layer], low: int, high: int, setting: Setting, options: Mapping[str, Any]
) -> Scaling:
    """The exponents of FLOPs and of peak memory between two lengths."""
    at = {
        seq: count(variant, Cell(variant="", options=options, seq=seq, setting=setting)).cost
        for seq in (low, high)
    }
    peaks = {seq: cost.peak_bytes or 0 for seq, cost in at.items()}
    flops = {seq: cost.flops for seq, cost in at.items()}
    return Scaling(flops=measured_exponent(flops), memory=measured_exponent(peaks))
