"""A fused kernel may lay its output out token by token, as those of a GPU do."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from effattn_cli import catalog, laws
from effattn_cli.attention import Layer


class TokenByToken(TorchFunctionMode):
    """Gives the outputs of exact attention the strides that they have on a GPU."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is not scaled_dot_product_attention:
            return out
        assert isinstance(out, Tensor)
        return out.transpose(1, 2).contiguous().transpose(1, 2)


@torch.no_grad()
@pytest.mark.parametrize("tokens", [1, 96, 200])
@pytest.mark.parametrize("name", catalog.bundled_names())
def test_the_layout_of_a_fused_output_changes_nothing(name: str, tokens: int) -> None:
    variant = catalog.load(name, kind=Layer)
    for causal in laws.modes(variant):
        layer, x = laws.make(variant, tokens, causal=causal), laws.tokens_in(tokens)
        valid = torch.arange(tokens) < torch.tensor([[tokens], [max(1, tokens // 2)]])
        for mask in (None, valid):
            want = layer(x, mask)
            with TokenByToken():
                got = layer(x, mask)
            torch.testing.assert_close(got, want)
