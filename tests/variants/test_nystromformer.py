from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts.landmarks import segment_means
from tests.equality import equals_its_reference, errors
from tests.references.nystromformer import reference
from tests.references.sdpa import reference as exact

Nystromformer = catalog.load("nystromformer")


@torch.no_grad()
def test_is_exact_when_every_token_is_a_landmark() -> None:
    worst = []
    for iterations in (6, 12, 24):
        layer = laws.make(
            Nystromformer, 24, dtype=torch.float64, landmarks=24, kernel=0, iterations=iterations
        )
        worst.append(errors(layer, exact).max())
    assert worst[0] > 2 * worst[1]
    assert worst[2] < 1e-9


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("landmarks", "iterations", "kernel"), [(5, 1, 0), (7, 3, 5), (100, 6, 1)])
def test_options_equal_the_reference(
    landmarks: int, iterations: int, kernel: int, padded: bool
) -> None:
    layer = laws.make(
        Nystromformer, 61, dtype=torch.float64,
        landmarks=landmarks, iterations=iterations, kernel=kernel,
    )  # fmt: skip
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize(("tokens", "kernel"), [(150, 65), (130, 1), (9, 33), (64, 5)])
def test_gradients_equal_those_of_the_reference(tokens: int, kernel: int) -> None:
    """With more tokens and with fewer than the filter's gradient takes at a time."""
    layer = laws.make(Nystromformer, tokens, dtype=torch.float64, landmarks=4, kernel=kernel)
    projected = layer.project(laws.tokens_in(tokens).double())
    q, k, v = (x.detach().requires_grad_() for x in projected)
    wanted = (q, k, v, layer.get_parameter("filter_HW"))
    outs = layer.attend(q, k, v), reference(layer, q, k, v, None)
    grads = [torch.autograd.grad(out.square().sum(), wanted) for out in outs]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_padded_sequence_gives_what_it_gives_alone() -> None:
    layer = laws.make(Nystromformer, 200, dtype=torch.float64)
    x = laws.tokens_in(200).double()
    valid_BT = (torch.arange(200) < 131).expand(2, -1)
    torch.testing.assert_close(layer(x, valid_BT)[:, :131], layer(x[:, :131]))


def test_segments_differ_by_one_token_at_most() -> None:
    x_BHTK = torch.arange(10.0).view(1, 1, 10, 1)
    assert segment_means(x_BHTK, 4).flatten().tolist() == [1, 4, 6.5, 8.5]
    valid_BT = torch.arange(10) < 5
    assert segment_means(x_BHTK, 4, valid_BT[None]).flatten().tolist() == [0.5, 2, 3, 4]
    valid_BT = torch.arange(10) < 2
    assert segment_means(x_BHTK, 4, valid_BT[None]).flatten().tolist() == [0, 1, 0, 0]


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_stays_finite_in_low_precision(dtype: torch.dtype) -> None:
    layer = laws.make(Nystromformer, 300, dtype=dtype, iterations=20)
    q, k, v = (x.to(dtype) for x in layer.float().project(laws.tokens_in(300)))
    for scale in (1, 10, 30):
        assert layer.to(dtype).attend(scale * q, scale * k, v).isfinite().all()


def test_refuses_what_makes_no_landmarks() -> None:
    for name in ("landmarks", "iterations"):
        options: dict[str, Any] = {name: 0}
        with pytest.raises(Unsupported, match=rf"^{name} 0 is below 1$"):
            laws.make(Nystromformer, 50, **options)
    for kernel in (-1, 4):
        with pytest.raises(Unsupported, match=rf"^kernel {kernel} is neither 0 nor an odd number$"):
            laws.make(Nystromformer, 50, kernel=kernel)
    with pytest.raises(Unsupported, match=r"^Nystromformer cannot be causal$"):
        laws.make(Nystromformer, 50, causal=True)
