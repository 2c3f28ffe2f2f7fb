import importlib

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts import rows
from effattn_cli.parts.entmax import entmax
from tests.equality import equals_its_reference
from tests.references.adaptive_sparse_transformer import reference

Sparse = catalog.load("adaptive-sparse-transformer")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("alpha", [None, 1.01, 1.5, 1.99])
def test_equals_its_reference_across_blocks(
    monkeypatch: pytest.MonkeyPatch, alpha: float | None, causal: bool
) -> None:
    module = importlib.import_module(Sparse.__module__)
    monkeypatch.setattr(module, "ROWS", 16)
    monkeypatch.setattr(rows, "CACHED", 1)
    layer = laws.make(Sparse, 50, dtype=torch.float64, alpha=alpha, causal=causal)
    equals_its_reference(layer, reference, padded=True, scale=4, tolerance=1e-7)


@pytest.mark.parametrize("spread", [0.01, 1, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entmax_at_one_and_a_half_is_what_a_sort_gives(dtype: torch.dtype, spread: float) -> None:
    z = spread * torch.randn(40, 3000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    # The k highest carry weight if tau of them is below the kth: (arXiv:1905.05702, algorithm 2).
    top = (z / 2).double().sort(-1, descending=True).values
    k = torch.arange(1, 3001)
    mean, square = top.cumsum(-1) / k, top.square().cumsum(-1) / k
    tau_k = mean - ((1 / k - (square - mean**2)).clamp(min=0)).sqrt()
    support = (tau_k <= top).sum(-1, keepdim=True)
    want = (z.double() / 2 - tau_k.gather(-1, support - 1)).clamp(min=0).square()
    got = entmax(z, torch.tensor(1.5, dtype=dtype))
    error = 1e-6 if dtype == torch.float32 else 1e-7  # the root takes half of the sort's digits
    torch.testing.assert_close(got.double(), want, rtol=0, atol=error)
    assert ((got == 0) == (want == 0)).double().mean() > 0.999


@pytest.mark.parametrize("length", [1, 2, 50, 5000])
@pytest.mark.parametrize("alpha", [1.01, 1.2, 1.5, 1.7, 1.99])
def test_entmax_sums_to_one_and_solves_its_equation(alpha: float, length: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for spread in (0.0, 0.1, 1, 100):
        z = spread * torch.randn(20, length, dtype=torch.float64, generator=generator)
        p = entmax(z, torch.tensor(alpha, dtype=torch.float64))
        torch.testing.assert_close(p.sum(-1), torch.ones(20, dtype=torch.float64))
        tau = (alpha - 1) * z - p ** (alpha - 1)  # one number a row, where there is weight
        high = tau.masked_fill(p == 0, -torch.inf).amax(-1, keepdim=True)
        low = tau.masked_fill(p == 0, torch.inf).amin(-1, keepdim=True)
        torch.testing.assert_close(high, low, rtol=1e-9, atol=1e-9)
        minimum = 1e-9 + 1e-300 ** (alpha - 1)  # what float64 can hold of it
        assert ((alpha - 1) * z <= low + minimum)[p == 0].all()


def test_entmax_has_the_gradient_of_its_solution() -> None:
    z = torch.randn(2, 3, 4, 7, dtype=torch.float64, requires_grad=True)
    alpha = torch.tensor([1.1, 1.5, 1.9], dtype=torch.float64)[:, None, None].requires_grad_()
    assert torch.autograd.gradcheck(entmax, (z, alpha))


@torch.no_grad()
def test_weights_become_sparser_as_alpha_grows() -> None:
    z = torch.randn(50, 200, generator=torch.Generator().manual_seed(2))
    shares = [(entmax(z, torch.tensor(a)) > 0).float().mean().item() for a in (1.01, 1.3, 1.6, 1.9)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    assert shares[-1] < 0.1
    torch.testing.assert_close(entmax(z, torch.tensor(1.01)), z.softmax(-1), rtol=0, atol=2e-2)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 0.5])
def test_refuses_what_is_not_between_softmax_and_sparsemax(alpha: float) -> None:
    with pytest.raises(Unsupported, match=rf"^alpha {alpha} is not within 1\.01 and 1\.99$"):
        laws.make(Sparse, 50, alpha=alpha)
