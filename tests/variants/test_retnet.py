from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.retnet import reference

RetNet = catalog.load("retnet")


@pytest.mark.parametrize("options", [{"value_width": 7}, {"head_dim": 5}, {"head_dim": 1}], ids=str)
def test_widths_of_all_kinds(options: dict[str, Any]) -> None:
    layer: Any = laws.make(RetNet, 90, dtype=torch.float64, causal=True, **options)
    equals_its_reference(layer, reference)
    equals_the_forward(layer, 20)


@torch.no_grad()
def test_scores_depend_on_the_distance_only() -> None:
    layer: Any = laws.make(RetNet, 40, dtype=torch.float64, causal=True)
    x_BTD = laws.tokens_in(1).double().expand(-1, 40, -1)
    q_BHTK, k_BHTK, *_ = layer.project(x_BTD)
    scores = q_BHTK @ k_BHTK.mT
    torch.testing.assert_close(scores[:, :, 1:, 1:], scores[:, :, :-1, :-1])


@pytest.mark.parametrize("width", [0, -1])
def test_refuses_a_value_without_width(width: int) -> None:
    with pytest.raises(Unsupported, match=f"^value_width {width} is below 1$"):
        laws.make(RetNet, 8, causal=True, value_width=width)
