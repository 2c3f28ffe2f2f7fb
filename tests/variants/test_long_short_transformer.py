from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.long_short_transformer import reference

LongShortTransformer = catalog.load("long-short-transformer")


def long_short(tokens: int, **options: int | bool) -> Any:
    layer = laws.make(LongShortTransformer, tokens, dtype=torch.float64, **options)
    for name in ("near_norm", "far_norm"):  # ones and zeros would hide a mistake
        for part in ("weight", "bias"):
            torch.nn.init.normal_(layer.get_parameter(f"{name}.{part}"))
    return layer


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"window": 2, "rank": 1},
        {"window": 8, "rank": 3},
        {"window": 20, "rank": 5, "chunk": 4},
        {"window": 70, "rank": 2, "chunk": 1},
        {"window": 16, "rank": 4, "chunk": 100},
    ],
)
def test_equals_its_reference(options: dict[str, int], causal: bool, padded: bool) -> None:
    layer = long_short(70, causal=causal, **options)
    equals_its_reference(layer, reference, padded=padded)


@torch.no_grad()
@pytest.mark.parametrize("options", [{"window": 6}, {"window": 6, "chunk": 4}, {"window": 30}])
def test_decoding_equals_the_forward(options: dict[str, int]) -> None:
    layer = long_short(41, causal=True, rank=5, **options)
    equals_the_forward(layer, 41)


def test_decoding_keeps_the_window_and_a_mixture_of_each_chunk() -> None:
    layer = long_short(100, causal=True, window=8, rank=5)
    assert layer.init_state(3, 60).k_BHRK.shape == (3, 4, 8 + 5, 16)
    layer = long_short(100, causal=True, window=8, chunk=10)
    assert layer.init_state(3, 60).k_BHRK.shape == (3, 4, 8 + 10, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 7}, "window 7 is not a positive even number"),
        ({"rank": 0}, "rank 0 is below 1"),
        ({"chunk": 0}, "chunk 0 is below 1"),
    ],
)
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        long_short(40, **options)
