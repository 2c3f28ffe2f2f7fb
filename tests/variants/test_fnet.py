import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell
from effattn_cli.setting import Setting

FNet = catalog.load("fnet")


@pytest.mark.parametrize("tokens", [1, 2, 7, 64])
@pytest.mark.parametrize("dim", [1, 2, 3, 10])
def test_equals_the_whole_transform(tokens: int, dim: int) -> None:
    layer = laws.make(FNet, tokens, dim=dim, heads=1)
    x = torch.randn(3, tokens, dim, dtype=torch.float64, requires_grad=True)
    y, want = layer(x), torch.fft.fft2(x, dim=(1, 2)).real
    torch.testing.assert_close(y, want)
    upstream = torch.randn_like(y)
    grads = [torch.autograd.grad(out, x, upstream)[0] for out in (y, want)]
    torch.testing.assert_close(*grads)


def test_the_gradient_has_a_gradient() -> None:
    layer = laws.make(FNet, 5, dim=4, heads=1)
    x = torch.randn(1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (x,))


def test_a_constant_is_gathered_in_one_place() -> None:
    y = laws.make(FNet, 6, dim=4, heads=1)(torch.ones(1, 6, 4))
    want = torch.zeros(1, 6, 4)
    want[0, 0, 0] = 24
    torch.testing.assert_close(y, want)


def test_refuses_padding_and_heads_of_their_own_width() -> None:
    with pytest.raises(Unsupported, match=r"^FNet cannot be given padding$"):
        build(FNet, Cell(variant="fnet", seq=8, setting=Setting(padding=0.5)))
    with pytest.raises(Unsupported, match=r"^FNet has no heads to be 8 wide$"):
        laws.make(FNet, 8, head_dim=8)
