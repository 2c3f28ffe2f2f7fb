from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import FeedForward
from effattn_cli.errors import Unsupported
from tests.references.scaling_transformers import reference


def made(**options: Any) -> Any:
    variant = catalog.load("scaling-transformers", kind=FeedForward)
    return laws.make(variant, 40, dtype=torch.float64, **options)


@torch.no_grad()
@pytest.mark.parametrize("options", [{"block": 1}, {"block": 256, "rank": 3}, {"block": 2}])
@pytest.mark.parametrize("tokens", [1, 40])
def test_other_options_equal_the_reference(options: dict[str, Any], tokens: int) -> None:
    layer, x_BTD = made(**options), laws.tokens_in(tokens, dtype=torch.float64)
    want = reference(layer, x_BTD, None)
    torch.testing.assert_close(layer(x_BTD), want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_blocks_of_one_unit_are_the_dense_feed_forward() -> None:
    layer, x_BTD = made(block=1), laws.tokens_in(40, dtype=torch.float64)
    want = (x_BTD @ layer.up_FD.T).relu() @ layer.down_FD
    torch.testing.assert_close(layer(x_BTD), want)


@torch.no_grad()
def test_a_step_reads_only_the_rows_that_it_uses() -> None:
    layer, x_BD = made(), laws.tokens_in(1, dtype=torch.float64)[:, 0]
    want = layer.decode(x_BD)
    unit_NJ = layer._logits(x_BD).argmax(-1)
    used = torch.zeros(8, 32, dtype=torch.bool)
    used[torch.arange(8), unit_NJ] = True
    for weight in (layer.up_FD, layer.down_FD):
        weight[~used.flatten()] = torch.nan
    torch.testing.assert_close(layer.decode(x_BD), want)


@torch.no_grad()
def test_in_training_a_share_of_the_calls_keeps_one_unit() -> None:
    layer, x_ND = made(temperature=0.0).train(), laws.tokens_in(40, dtype=torch.float64)[0]
    hard = layer.eval()(x_ND[None])[0]
    logits_NJU = layer.train()._logits(x_ND)
    soft_NF = ((x_ND @ layer.up_FD.T) * logits_NJU.softmax(-1).flatten(1)).relu()
    soft = soft_NF @ layer.down_FD
    found = [layer(x_ND[None])[0] for _ in range(300)]
    kept = sum(torch.allclose(y, hard) for y in found)
    assert kept + sum(torch.allclose(y, soft) for y in found) == 300
    assert kept / 300 == pytest.approx(0.3, abs=0.1)


def test_in_training_gradients_reach_the_controller_and_in_evaluation_none() -> None:
    layer = made()
    for mode in (True, False):
        layer.train(mode)
        y = layer(laws.tokens_in(40, dtype=torch.float64))
        (grad,) = torch.autograd.grad(y.sum(), layer.wide_RF, allow_unused=True)
        assert (grad is not None) == mode


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"block": 3}, "block 3 does not divide the 256 hidden units"),
        ({"block": 0}, "block 0 does not divide the 256 hidden units"),
        ({"rank": 0}, "rank 0 is below 1"),
    ],
)
def test_refusals(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Unsupported, match=f"^{says}$"):
        made(**options)
