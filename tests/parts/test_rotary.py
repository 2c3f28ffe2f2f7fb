"""Rotary positions, against complex numbers, and in every variant that takes them."""

from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable, Layer
from effattn_cli.errors import Unsupported
from effattn_cli.measure.workload import build
from effattn_cli.parts.rotary import Prepared, Rotary
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.decoding import equals_the_forward

NAMES = [
    name for name in catalog.bundled_names() if issubclass(catalog.load(name, kind=Layer), Rotary)
]
PREPARED = [name for name in NAMES if issubclass(catalog.load(name), Prepared)]
K = laws.D // laws.H


def turned(x_BHTK: torch.Tensor, width: int, base: float) -> torch.Tensor:
    """The definition: pairs of numbers as complex ones, times e^(i t base^(-2 r / R))."""
    half = width // 2
    z = torch.complex(x_BHTK[..., :half], x_BHTK[..., half:width])
    out = x_BHTK.clone()
    for t in range(x_BHTK.shape[2]):
        for r in range(half):
            angle = torch.tensor(t * base ** (-2 * r / width), dtype=torch.float64)
            w = z[:, :, t, r] * torch.polar(torch.ones_like(angle), angle)
            out[:, :, t, r], out[:, :, t, half + r] = w.real, w.imag
    return out


def test_exact_and_sparse_mixers_take_them() -> None:
    assert {"sdpa", "softmax", "gqa", "sliding-window", "longformer", "big-bird"} <= set(NAMES)


@torch.no_grad()
@pytest.mark.parametrize(("part", "width"), [(1.0, 16), (0.5, 8), (0.3, 4)])
@pytest.mark.parametrize("name", NAMES)
def test_queries_and_keys_are_turned_and_nothing_else(name: str, part: float, width: int) -> None:
    variant = catalog.load(name)
    shape: Any = {"causal": laws.modes(variant)[-1], "dtype": torch.float64}
    plain = laws.make(variant, 40, **shape)
    rotary = laws.make(variant, 40, rotary=part, rotary_base=100.0, **shape)
    x_BTD = laws.tokens_in(40, dtype=torch.float64)
    q, k, v, *_ = plain.project(x_BTD)  # an index has positions of its own
    want = turned(q, width, 100.0), turned(k, width, 100.0), v
    torch.testing.assert_close(rotary.project(x_BTD)[:3], want, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(rotary(x_BTD), plain(x_BTD))


@torch.no_grad()
def test_a_score_depends_on_the_distance() -> None:
    layer: Any = laws.make(catalog.load("sdpa"), 90, dtype=torch.float64, rotary=1.0)
    q, k = torch.randn(2, 1, 1, 1, K, dtype=torch.float64)
    scores = [(layer.at(q, t + 7) * layer.at(k, t)).sum() for t in (0, 1, 30, 80)]
    torch.testing.assert_close(torch.stack(scores), scores[0].expand(4), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_decoding_knows_the_place(name: str) -> None:
    variant = catalog.load(name)
    if issubclass(variant, Decodable):
        equals_the_forward(laws.make(variant, 60, dtype=torch.float64, causal=True, rotary=0.5), 60)


def test_without_them_nothing_is_built() -> None:
    layer = laws.make(catalog.load("sdpa"), 40)
    assert [name for name, _ in layer.named_buffers()] == ["like"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotary": 1.5}, "rotary 1.5 is not from 0 to 1"),
        ({"rotary": 1.0, "rotary_base": 1.0}, "rotary_base 1.0 is not above 1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        laws.make(catalog.load("sdpa"), 40, **options)


def test_a_core_has_no_positions() -> None:
    cell = Cell(variant="sdpa", options={"rotary": 1.0}, seq=8, setting=Setting(dim=16, heads=2))
    with pytest.raises(Unsupported, match="belong to the projections, a core has none"):
        build(catalog.load("sdpa"), cell)


@torch.no_grad()
@pytest.mark.parametrize("name", PREPARED)
def test_queries_and_keys_are_normed_and_grown_where_asked(name: str) -> None:
    """Norms come before the turn, the growth after it; both leave values as they were."""
    variant = catalog.load(name)
    shape: Any = {"causal": laws.modes(variant)[-1], "dtype": torch.float64}
    plain = laws.make(variant, 9000, **shape)
    layer: Any = laws.make(variant, 9000, qk_norm=True, log_scale=0.1, **shape)
    for weight in (layer.norm_q_K, layer.norm_k_K):
        weight.copy_(torch.rand_like(weight) + 0.5)
    x_BTD = laws.tokens_in(9000, dtype=torch.float64)
    q, k, *rest = plain.project(x_BTD)
    growth_T = torch.ones(9000, dtype=torch.float64)
    growth_T[8191:] = 1 + 0.1 * torch.tensor(2.0, dtype=torch.float64).log()
    want = (
        q / (q.square().mean(-1, keepdim=True) + 1e-6).sqrt() * layer.norm_q_K * growth_T[:, None],
        k / (k.square().mean(-1, keepdim=True) + 1e-6).sqrt() * layer.norm_k_K,
        *rest,
    )
    torch.testing.assert_close(layer.project(x_BTD), want, rtol=1e-6, atol=1e-6)


def test_a_step_is_normed_and_grown_as_the_forward_is() -> None:
    shape: Any = {"causal": True, "dtype": torch.float64}
    variant = catalog.load("gqa")
    equals_the_forward(laws.make(variant, 20, qk_norm=True, log_scale=0.1, rotary=0.5, **shape), 20)


@torch.no_grad()
@pytest.mark.parametrize("name", PREPARED)
def test_values_are_keys_before_scale_and_turn_where_asked(name: str) -> None:
    variant = catalog.load(name)
    shape: Any = {"causal": laws.modes(variant)[-1], "dtype": torch.float64}
    layer: Any = laws.make(variant, 40, k_eq_v=True, qk_norm=True, rotary=0.5, **shape)
    layer.norm_k_K.copy_(torch.rand_like(layer.norm_k_K) + 0.5)
    x_BTD = laws.tokens_in(40, dtype=torch.float64)
    k, v = layer.project(x_BTD)[1:3]
    raw_BTE = x_BTD @ layer.projections["k"].weight.T
    raw_BGTK = raw_BTE.view(laws.B, 40, layer.kv_heads, K).transpose(1, 2)
    want = raw_BGTK / (raw_BGTK.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(v, want, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(k, turned(want * layer.norm_k_K, 8, 10_000), rtol=1e-6, atol=1e-6)
    assert "v" not in layer.projections


@pytest.mark.parametrize(
    "law", ["gradients", "padding", "causality", "decoding", "shape and dtype"]
)
def test_one_projection_for_keys_and_values_keeps_the_laws(law: str) -> None:
    options = {"k_eq_v": True, "qk_norm": True, "rotary": 0.25}
    laws.LAWS[law](laws.with_options(catalog.load("gqa"), options))


def test_both_keys_and_values_of_one_projection_are_cached() -> None:
    sizes = []
    for same in (False, True):
        layer: Any = laws.make(catalog.load("gqa"), 30, causal=True, k_eq_v=same)
        state = layer.init_state(2, 9)
        sizes.append([x.shape for x in (state.k_BGRK, state.v_BGRK)])
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("name", ["qk_norm", "log_scale", "k_eq_v"])
def test_a_core_is_not_prepared(name: str) -> None:
    asked: dict[str, Any] = {name: True}
    with pytest.raises(Unsupported, match=f"^{name} belongs to the projections, a core has none$"):
        laws.make(catalog.load("gqa"), 8, core=True, **asked)
