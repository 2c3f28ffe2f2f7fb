import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.luna import reference

Luna = catalog.load("luna")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 5, 40])
def test_other_lengths_equal_the_reference(causal: bool, length: int) -> None:
    layer = laws.make(Luna, 150, dtype=torch.float64, causal=causal, length=length)
    equals_its_reference(layer, reference)


@torch.no_grad()
def test_one_query_gives_every_token_the_same_pack() -> None:
    layer = laws.make(Luna, 40, dtype=torch.float64, length=1)
    y = layer(laws.tokens_in(40).double())
    torch.testing.assert_close(y, y[:, :1].expand_as(y), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_weight_is_one_where_query_and_key_are_orthogonal() -> None:
    """With p = 0 the causal pack is the mean of the values so far."""
    layer = laws.make(Luna, 100, dtype=torch.float64, causal=True)
    layer.get_parameter("pack_HLK").zero_()
    q, k, v = layer.project(laws.tokens_in(100).double())
    mean_BHTK = v.cumsum(2) / torch.arange(1, 101)[:, None]
    torch.testing.assert_close(layer.attend(q, k, v), mean_BHTK, rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_decodes_far_past_the_first_chunk(dtype: torch.dtype) -> None:
    layer = laws.make(Luna, 400, dtype=dtype, causal=True)
    assert isinstance(layer, Decodable)
    x = laws.tokens_in(400, dtype=dtype)
    y, state = layer(x), layer.init_state(2, 0)
    for t in range(400):
        step, state = layer.decode(x[:, t], state)
    assert state.length == 400
    error = (step - y[:, -1]).norm() / y[:, -1].norm()
    assert error < (1e-5 if dtype == torch.float32 else 5e-2)


@torch.no_grad()
def test_long_sums_do_not_overflow_in_float16() -> None:
    layer = laws.make(Luna, 3000, dtype=torch.float16, causal=True, dim=8, heads=1)
    q, k, v = torch.full((3, 1, 1, 3000, 8), 30.0, dtype=torch.float16)
    y = layer.attend(q, k.zero_(), v)
    torch.testing.assert_close(y, torch.full_like(y, 30), rtol=1e-2, atol=0)


def test_refuses_a_pack_without_room() -> None:
    with pytest.raises(Unsupported, match=r"^length 0 is below 1$"):
        laws.make(Luna, 50, length=0)
