from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import FeedForward
from effattn_cli.errors import Unsupported
from tests.references.product_key_memory import reference


def made(**options: Any) -> Any:
    variant = catalog.load("product-key-memory", kind=FeedForward)
    return laws.make(variant, 40, dtype=torch.float64, **({"keys": 32} | options))


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [{"best": 1}, {"best": 7, "queries": 1}, {"best": 32, "width": 6}, {"keys": 1, "best": 1}],
)
def test_other_options_equal_the_reference(options: dict[str, Any]) -> None:
    layer, x_BTD = made(**options), laws.tokens_in(40, dtype=torch.float64)
    want = reference(layer, x_BTD, None)
    torch.testing.assert_close(layer(x_BTD), want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_table_read_whole_is_softmax_attention_over_its_slots() -> None:
    layer, x_ND = made(keys=8, best=8, queries=1), laws.tokens_in(40, dtype=torch.float64)[0]
    slot_NHS, score_NHS = layer._found(x_ND)
    one, two = layer.norm(layer.to_query(x_ND).view(-1, 2, 128)).unbind(1)
    all_N64 = ((one @ layer.keys_ZPJ[0])[:, :, None] + (two @ layer.keys_ZPJ[1])[:, None]).flatten(
        1
    )
    best = all_N64.topk(8)
    scores_N8, order_N8 = score_NHS[:, 0].sort(descending=True)
    torch.testing.assert_close(scores_N8, best.values)
    assert torch.equal(slot_NHS[:, 0].gather(1, order_N8), best.indices)


def test_what_a_token_uses() -> None:
    used = made(keys=32, best=8, queries=2).usage(laws.tokens_in(40))
    query = 2 * 256 * laws.D + 2 * 128 + 2 * 2 * 128 * 32
    assert used.total_parameters == query + 32 * 32 * laws.D
    assert used.active_parameters == query + 2 * 8 * laws.D
    assert used.load is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"best": 33}, "best 33 is not from 1 to 32, the keys"),
        ({"best": 0}, "best 0 is not from 1 to 32, the keys"),
        ({"width": 7}, "width 7 is not a positive even number"),
        ({"queries": 0}, "queries 0 is below 1"),
    ],
)
def test_refusals(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Unsupported, match=f"^{says}$"):
        made(**options)
