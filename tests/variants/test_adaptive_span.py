import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import mean_error
from tests.references.adaptive_span import reference
from tests.references.sdpa import reference as exact

AdaptiveSpan = catalog.load("adaptive-span")


def adaptive(tokens: int, **options: int) -> Attention:
    return laws.make(AdaptiveSpan, tokens, dtype=torch.float64, causal=True, **options)


OPTIONS = [
    {"span": 20, "ramp": 8}, {"span": 1, "ramp": 1}, {"span": 70, "ramp": 5},
    {"span": 500, "ramp": 32}, {"span": 3, "ramp": 40},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_equals_its_reference(options: dict[str, int]) -> None:
    layer = adaptive(150, **options)
    spans_H = layer.get_parameter("span_H")
    with torch.no_grad():
        spans_H.copy_(torch.tensor([0.013, 0.31, 0.77, 0.98]))
    q, k, v = (x.detach().requires_grad_() for x in layer.project(laws.tokens_in(150).double()))
    outs = layer.attend(q, k, v), reference(layer, q, k, v, None)
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad(out.square().sum(), (q, k, v, spans_H)) for out in outs]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


def test_query_30_weighs_keys_down_the_ramp_of_its_head() -> None:
    layer = adaptive(40, dim=160, span=6, ramp=4)  # z of the heads: 0, 2, 4, 6
    same = torch.zeros(1, 4, 40, 40).double()
    weights_HT = layer.attend(same, same, torch.eye(40).double().expand(1, 4, -1, -1))[0, :, 30]
    for z, weights_T in zip((0, 2, 4, 6), weights_HT, strict=True):
        want = torch.tensor(
            [min(1, max(0, (4 + z - x) / 4)) if x < 6 else 0 for x in range(30, -1, -1)] + 9 * [0]
        ).double()
        torch.testing.assert_close(weights_T, want / want.sum())


def test_becomes_exact_as_the_spans_grow() -> None:
    errors = []
    for span in (1, 40, 100, 300):
        layer = adaptive(200, span=span)
        torch.nn.init.ones_(layer.get_parameter("span_H"))
        errors.append(mean_error(layer, exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] > 1e-4
    assert errors[3] < 1e-12


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS)
def test_decoding_equals_the_forward_after_the_ring_has_gone_round(options: dict[str, int]) -> None:
    layer = adaptive(80, **options)
    equals_the_forward(layer, 80)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_scores_far_below_zero_stay_finite(dtype: torch.dtype) -> None:
    layer = laws.make(AdaptiveSpan, 60, dtype=dtype, causal=True, span=10, ramp=4)
    k = torch.randn(2, 4, 60, 16).abs().to(dtype)
    y = layer.attend(-50 * k, k, k)
    assert y.isfinite().all()
    assert (y[:, :, 0] - k[:, :, 0]).abs().max() < 0.05  # the first token sees itself alone


@pytest.mark.parametrize(
    ("options", "message"),
    [({"span": 0}, "span 0 is below 1"), ({"ramp": 0}, "ramp 0 is below 1")],
)
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        adaptive(40, **options)
