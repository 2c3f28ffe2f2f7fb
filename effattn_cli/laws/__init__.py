"""The laws that every variant keeps; the tests hold the bundled ones to them.

A law is a function of the variant's class that raises `Broken`, in plain words, when the class
breaks it, and gives the reason where it does not apply. A variant that a law is wrong for says why
on its card, under `exempt`.
"""

from collections.abc import Mapping

from effattn_cli.laws import growth, masks, outputs, steps, swaps
from effattn_cli.laws.law import (
    STATED,
    B,
    Broken,
    D,
    H,
    Law,
    make,
    modes,
    out_shape,
    tokens_in,
    with_options,
)

#: By name, in the order in which they are tried: what is quick and basic comes first.
LAWS: Mapping[str, Law] = {
    name: check
    for module in (outputs, masks, swaps, steps, growth)
    for name, check in STATED.items()
    if check.__module__ == module.__name__
}

__all__ = [
    "LAWS", "B", "Broken", "D", "H", "Law", "make", "modes", "out_shape", "tokens_in",
    "with_options",
]  # fmt: skip
