"""Fully measured sweeps made up from known curves, so that the truth is known at every length."""

import random
from collections.abc import Iterable, Mapping, Sequence

from effattn_cli.cards import Kind, Swap, Variant
from effattn_cli.records import Record
from tests.builders import a_card, a_cell, a_variant, measured

SEQS = tuple(256 << place for place in range(9))  # 256 to 64k
#: Seconds of what is done once, per token, and per pair of tokens; bytes per token and per pair.
CURVES: Mapping[str, tuple[float, float, float, float, float]] = {
    "sdpa": (2e-5, 0.0, 1.9e-9, 2048, 0.0),
    "softmax": (2e-5, 0.0, 3.1e-9, 2048, 8.0),
    "linformer": (6e-5, 1.1e-6, 0.0, 5100, 0.0),
    "performer": (9e-5, 2.4e-6, 0.0, 9300, 0.0),
    "longformer": (2e-4, 4.0e-6, 0.0, 12_800, 0.0),
    "reformer": (4e-4, 7.5e-6, 0.0, 16_900, 0.0),
    "plugin": (3e-5, 1.6e-6, 2e-11, 3500, 0.0),
}
KINDS: Mapping[str, Kind] = {
    "sdpa": "exact", "softmax": "exact", "linformer": "approximates softmax",
    "performer": "approximates softmax", "longformer": "approximates softmax",
    "reformer": "approximates softmax", "plugin": "own mechanism",
}  # fmt: skip
SWAPS: Mapping[str, Swap] = {"sdpa": "exact", "softmax": "exact", "performer": "lossy"}
LRA = {"linformer": 51.36, "performer": 51.41, "longformer": 53.46, "reformer": 50.67}


def seconds(name: str, seq: int) -> float:
    once, each, pair, _, _ = CURVES[name]
    return once + each * seq + pair * seq * seq


def peak(name: str, seq: int) -> int:
    each, pair = CURVES[name][3:]
    return round(each * seq + pair * seq * seq)


def variants() -> dict[str, Variant]:
    cards = {
        name: a_card(KINDS[name], lra=LRA.get(name), swap=SWAPS.get(name, "trained"))
        for name in CURVES
    }
    return {name: a_variant(name, card=cards[name], decode=name != "plugin") for name in CURVES}


def grid(
    seqs: Sequence[int] = SEQS, *, noise: float = 0.0, names: Iterable[str] = CURVES, seed: int = 0
) -> list[Record]:
    """Each variant at each length; `noise` moves the rounds' medians apart."""
    dice = random.Random(seed)
    return [
        measured(
            a_cell(name, seq),
            [seconds(name, seq) * (1 + dice.uniform(-noise, noise)) for _ in range(3)],
            peak(name, seq),
            count=8,
            flops=round(2e9 * seconds(name, seq)),
        )
        for name in names
        for seq in seqs
    ]
