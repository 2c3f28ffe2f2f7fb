"""How much of a sparse feed-forward layer a cell's tokens used."""

from typing import Any

from effattn_cli.attention import FeedForward, Layer
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell, Sampling, Usage


def measure(variant: type[Layer], cell: Cell, sampling: Sampling) -> Usage | None:
    """From one eager call of the cell; None if the variant is not a sparse feed-forward layer."""
    if not issubclass(variant, FeedForward):
        return None
    subject = build(variant, cell, seed=sampling.seed, eager=True)
    (feed,) = (part for part in subject.module.modules() if isinstance(part, variant))
    seen: list[Any] = []
    feed.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    subject.call()
    return feed.usage(*seen)
