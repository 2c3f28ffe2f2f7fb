"""The laws that every variant keeps; the tests hold the bundled ones to them.

A law is a function of the variant's class that raises `Broken`, in plain words, when the class
breaks it, and gives the reason where it does not apply. A variant that a law is wrong for says why
on its card, under `exempt`.
"""

from effattn_cli.laws import decoding, growth, masks, outputs
from effattn_cli.laws.law import (
    LAWS,
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

__all__ = [
    "LAWS", "B", "Broken", "D", "H", "Law", "decoding", "growth", "make", "masks", "modes",
    "out_shape", "outputs", "tokens_in", "with_options",
]  # fmt: skip
