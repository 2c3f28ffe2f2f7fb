import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.set_transformer import reference

SetTransformer = catalog.load("set-transformer")


@torch.no_grad()
def test_a_permuted_set_gives_the_permuted_output() -> None:
    layer, x = laws.make(SetTransformer, 70, dtype=torch.float64), laws.tokens_in(70).double()
    order = torch.randperm(70, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(layer(x[:, order]), layer(x)[:, order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("points", [1, 5, 64])
def test_other_numbers_of_points_equal_the_reference(points: int) -> None:
    layer = laws.make(SetTransformer, 40, dtype=torch.float64, points=points)
    equals_its_reference(layer, reference)


def test_every_token_reads_every_other() -> None:
    layer = laws.make(SetTransformer, 40, points=1)
    q, k, v = (x.detach() for x in layer.project(laws.tokens_in(40)))
    v.requires_grad_()
    for t in (0, 39):
        (grad_BHTK,) = torch.autograd.grad(layer.attend(q, k, v)[:, :, t].sum(), v)
        assert (grad_BHTK.abs().sum((0, 1, 3)) > 0).all()


@torch.no_grad()
def test_one_point_gives_every_token_the_same() -> None:
    layer = laws.make(SetTransformer, 40, dtype=torch.float64, points=1)
    y = layer(laws.tokens_in(40).double())
    torch.testing.assert_close(y, y[:, :1].expand_as(y), rtol=1e-9, atol=1e-9)


def test_refuses_a_set_without_points() -> None:
    with pytest.raises(Unsupported, match=r"^points 0 is below 1$"):
        laws.make(SetTransformer, 50, points=0)


def test_refuses_to_be_causal() -> None:
    with pytest.raises(Unsupported, match=r"^Set Transformer cannot be causal$"):
        laws.make(SetTransformer, 50, causal=True)
