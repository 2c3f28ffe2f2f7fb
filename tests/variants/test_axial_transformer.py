import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.axial_transformer import reference
from tests.references.sdpa import reference as exact

AxialTransformer = catalog.load("axial-transformer")


def axial(tokens: int, **options: int | bool) -> Attention:
    return laws.make(AxialTransformer, tokens, dtype=torch.float64, **options)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("width", [1, 7, 50, 200])
def test_equals_its_reference(width: int, causal: bool, padded: bool) -> None:
    layer = axial(100, width=width, causal=causal)
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize(("causal", "seen"), [(False, range(40)), (True, range(24))])
def test_query_23_reads_every_token_that_it_may(causal: bool, seen: range) -> None:
    layer = axial(40, causal=causal)
    q, k, v = (x.detach() for x in layer.project(laws.tokens_in(40).double()))
    v.requires_grad_()
    (grad_BHTK,) = torch.autograd.grad(layer.attend(q, k, v)[:, :, 23].sum(), v)
    assert grad_BHTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist() == list(seen)


@pytest.mark.parametrize(("causal", "width"), [(False, 60), (False, 1), (True, 60)])
def test_one_row_or_one_column_is_exact_attention(causal: bool, width: int) -> None:
    layer = axial(60, width=width, causal=causal)
    equals_its_reference(layer, exact)


@torch.no_grad()
@pytest.mark.parametrize("width", [1, 7, 60])
def test_decoding_equals_the_forward(width: int) -> None:
    layer = axial(50, width=width, causal=True)
    equals_the_forward(layer, 50)


@pytest.mark.parametrize(("tokens", "width"), [(1, 1), (1000, 32), (4096, 64), (16385, 129)])
def test_the_grid_is_nearly_square(tokens: int, width: int) -> None:
    assert axial(tokens).width == width


def test_refuses_rows_without_tokens() -> None:
    with pytest.raises(Unsupported, match=r"^width 0 is below 1$"):
        axial(40, width=0)
