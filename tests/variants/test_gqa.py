from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.gqa import reference

GroupedQuery = catalog.load("gqa")


@pytest.mark.parametrize(
    ("heads", "kv_heads"), [(1, 1), (3, 1), (8, 2), (9, 1), (12, 3), (14, 2), (32, 8)]
)
def test_default_is_at_most_a_quarter_of_the_heads_and_divides_them(
    heads: int, kv_heads: int
) -> None:
    assert laws.make(GroupedQuery, 8, heads=heads, head_dim=4).kv_heads == kv_heads


@torch.no_grad()
def test_equals_sdpa_whose_kv_heads_are_copies() -> None:
    layer = laws.make(GroupedQuery, 30, dtype=torch.float64, kv_heads=2, causal=True)
    twin = laws.make(catalog.load("sdpa"), 30, dtype=torch.float64, causal=True)
    for name, part in layer.projections.items():
        weight: torch.Tensor = part.get_parameter("weight")
        if name in "kv":  # kv head g serves the query heads 2 g and 2 g + 1
            weight = weight.view(2, 16, 64).repeat_interleave(2, dim=0).flatten(0, 1)
        twin.projections[name].get_parameter("weight").copy_(weight)
    x_BTD = laws.tokens_in(30).double()
    torch.testing.assert_close(layer(x_BTD), twin(x_BTD), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kv_heads", [1, 2, 8])
def test_decoding_keeps_kv_heads_only(kv_heads: int) -> None:
    layer = laws.make(GroupedQuery, 100, heads=8, kv_heads=kv_heads, causal=True)
    assert isinstance(layer, Decodable)
    assert layer.init_state(3, 70).k_BGRK.shape == (3, kv_heads, 100, 8)


def test_refuses_kv_heads_that_do_not_divide_the_heads() -> None:
    with pytest.raises(Unsupported, match=r"^4 heads are not a multiple of 3 kv heads$"):
        laws.make(GroupedQuery, 30, kv_heads=3)


@pytest.mark.parametrize(
    ("options", "causal", "padded"),
    [
        ({"softcap": 2.0}, True, False),
        ({"softcap": 2.0}, False, True),
        ({"softcap": 0.1, "kv_heads": 4}, True, False),
        ({"sinks": True}, True, False),
        ({"sinks": True, "kv_heads": 1}, True, False),
    ],
)
def test_caps_and_sinks_equal_the_reference(
    options: dict[str, Any], causal: bool, padded: bool
) -> None:
    layer = laws.make(GroupedQuery, 130, dtype=torch.float64, causal=causal, **options)
    equals_its_reference(
        layer, reference, padded=padded, parameters=list(layer.parameters(recurse=False))
    )
    if causal:
        equals_the_forward(layer, 20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"softcap": -1.0}, "softcap -1.0 is below 0"),
        ({"sinks": True}, "sinks belong to causal attention without a softcap"),
        ({"sinks": True, "softcap": 5.0, "causal": True}, "sinks belong to causal attention"),
    ],
)
def test_refuses_what_no_model_does(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        laws.make(GroupedQuery, 8, **options)
