"""The orders of growth that a card states are those of what is counted."""

from typing import Any

from torch._subclasses.fake_tensor import FakeTensorMode

from effattn_cli.analysis.cost.scaling import exponent, measured_exponent
from effattn_cli.attention import Decodable, Layer, PlainModule
from effattn_cli.laws.law import law, modes, require
from effattn_cli.measure.counting import count
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell
from effattn_cli.setting import Scope, Setting


@law
def growth(variant: type[Layer]) -> str | None:
    """FLOPs and peak memory grow from 4k to 16k tokens as the card states, to 0.1 in the exponent.

    Measured on the core, or on the feed-forward alone, on fake tensors, at a width that real
    models have.
    """
    if not variant.card.time:
        return "the card does not say how it grows"
    scope: Scope = "layer" if issubclass(variant, PlainModule) else "core"
    for causal in modes(variant):
        setting = Setting(causal=causal, scope=scope)
        at = {
            seq: count(variant, Cell(variant="", seq=seq, setting=setting)).cost
            for seq in (4096, 16384)
        }
        for what, order, got in (
            ("FLOPs", variant.card.time, {seq: cost.flops for seq, cost in at.items()}),
            (
                "peak memory",
                variant.card.memory,
                {seq: cost.peak_bytes for seq, cost in at.items()},
            ),
        ):
            require(all(got.values()), f"{what} cannot be counted: nothing is computed")
            said, is_ = exponent(order, 4096, 16384), measured_exponent(got)
            message = f"{what} grow like N^{is_:.2f}, the card says {order} (N^{said:.2f})"
            require(abs(said - is_) <= 0.1, message)
    return None


@law
def growth_of_the_state(variant: type[Layer]) -> str | None:
    """What decoding keeps grows with the context as the card states, from 256k to 1M tokens."""
    if not issubclass(variant, Decodable):
        return "it does not decode token by token"
    if not variant.card.state:
        return "the card does not say how the state grows"
    low, high = 2**18, 2**20
    kept = {tokens: state_bytes(variant, tokens) for tokens in (low, high)}
    require(all(kept.values()) or not any(kept.values()), f"the state has {kept} bytes")
    is_ = measured_exponent(kept) if all(kept.values()) else 0.0
    said = exponent(variant.card.state, low, high)
    message = f"the state grows like N^{is_:.2f}, the card says {variant.card.state}"
    require(abs(said - is_) <= 0.1, message)
    return None


def state_bytes(variant: type[Decodable[Any]], tokens: int) -> int:
    """Of one sequence at a usual width, in float32; nothing is allocated."""
    cell = Cell(variant="", seq=tokens, setting=Setting(causal=True, scope="layer", phase="decode"))
    with FakeTensorMode(allow_non_fake_inputs=True):
        subject = build(variant, cell, device="cpu", eager=True)
        return sum(tensor.nbytes for tensor in subject.state)
