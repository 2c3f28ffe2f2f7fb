from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.poolingformer import reference

Poolingformer = catalog.load("poolingformer")


def poolingformer(tokens: int, **options: int | bool | str) -> Any:
    return laws.make(Poolingformer, tokens, dtype=torch.float64, **options)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "max", "ldconv"])
@pytest.mark.parametrize(
    ("window", "wide", "size", "stride"),
    [(8, 40, 5, 4), (2, 16, 2, 2), (16, 64, 7, 3), (4, 12, 2, 3), (6, 9, 1, 1)],
)
def test_equals_its_reference(
    window: int, wide: int, size: int, stride: int, pooling: str, padded: bool
) -> None:
    layer = poolingformer(
        70, window=window, pool_window=wide, pool_size=size, pool_stride=stride, pooling=pooling
    )
    equals_its_reference(layer, reference, padded=padded)


def test_a_query_hears_of_tokens_as_far_as_both_windows_reach() -> None:
    layer = poolingformer(80, window=4, pool_window=16, pool_size=5, pool_stride=4)
    v_BHTK = torch.randn(1, 4, 80, 16).double().requires_grad_()
    y_BHTK = layer.attend(v_BHTK.detach(), v_BHTK.detach(), v_BHTK)
    (grad_BHTK,) = torch.autograd.grad(y_BHTK[:, :, 41].square().sum(), v_BHTK)
    heard = grad_BHTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    # Stretch 10 is its own; 8 to 12 hold tokens 32 to 52, whose rows saw two on either side.
    assert heard == list(range(30, 55))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 7}, "window 7 is not a positive even number"),
        ({"pool_window": 0}, "pool_window 0 is below 1"),
        ({"pool_size": 0}, "pool_size 0 is below 1"),
        ({"pool_stride": 0}, "pool_stride 0 is below 1"),
        ({"pooling": "sum"}, "pooling 'sum' is neither mean, max nor ldconv"),
        ({"causal": True}, "Poolingformer cannot be causal"),
    ],
)
def test_refuses(options: dict[str, int | str], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        poolingformer(40, **options)
