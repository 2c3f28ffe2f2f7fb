import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference, relative_error
from tests.references.performer import reference
from tests.references.sdpa import reference as exact

Performer = catalog.load("performer")


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_error_falls_with_the_root_of_the_features(causal: bool) -> None:
    errors = []
    for features in (64, 1024, 16384):
        layer = laws.make(Performer, 60, dtype=torch.float64, features=features, causal=causal)
        errors.append(relative_error(layer, exact))
    assert errors[0] > 2.5 * errors[1] > 2.5**2 * errors[2]  # ideally 4 and 4^2
    assert errors[2] < 0.05


@pytest.mark.parametrize("causal", [False, True])
def test_relu_equals_its_reference(causal: bool) -> None:
    layer = laws.make(Performer, 150, dtype=torch.float64, kernel="relu", causal=causal)
    equals_its_reference(layer, reference)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_directions_are_orthogonal_in_blocks_and_as_long_as_gaussians(dtype: torch.dtype) -> None:
    torch.set_default_dtype(dtype)
    try:
        layer = laws.make(Performer, 8, dtype=dtype, dim=128, heads=2, features=1000)
    finally:
        torch.set_default_dtype(torch.float32)
    w_FK = layer.get_buffer("directions_KF").float().mT * 64**0.25
    lengths_F = w_FK.norm(dim=1)
    assert lengths_F.mean() == pytest.approx(8, rel=0.02)
    assert lengths_F.std() == pytest.approx(2**-0.5, rel=0.1)
    for block in (w_FK / lengths_F[:, None]).split(64):
        cosines = block @ block.T - torch.eye(len(block))
        assert cosines.abs().max() < (1e-5 if dtype == torch.float32 else 1e-2)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("causal", [False, True])
def test_stays_finite_where_exponentials_overflow(dtype: torch.dtype, causal: bool) -> None:
    layer = laws.make(Performer, 80, dtype=dtype, causal=causal)
    q, k, v = (x.to(dtype) for x in layer.float().project(laws.tokens_in(80)))
    for scale in (1, 10, 100):
        assert layer.to(dtype).attend(scale * q, scale * k, v).isfinite().all()


def test_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(Unsupported, match=r"^features 0 is below 1$"):
        laws.make(Performer, 50, features=0)
    with pytest.raises(Unsupported, match=r"^kernel 'cosine' is neither softmax nor relu$"):
        laws.make(Performer, 50, kernel="cosine")
