"""Regimes have the properties that they claim."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from effattn_cli.errors import UsageError
from effattn_cli.evaluate.drawing import Drawn, draw
from effattn_cli.evaluate.regimes import REGIMES, regimes

T, K, H = 384, 32, 8


def drawn(regime: str, *, causal: bool = False, seed: int = 0, kv_heads: int = H) -> Drawn:
    return draw(regime, heads=H, kv_heads=kv_heads, tokens=T, width=K, causal=causal, seed=seed)


def weights(one: Drawn, *, causal: bool) -> Tensor:
    """(H, T, T), by its definition."""
    k_HTK = one.k_BGTK[0].repeat_interleave(H // one.k_BGTK.shape[1], dim=0)
    exps = torch.exp(torch.einsum("htk,hsk->hts", one.q_BHTK[0], k_HTK) / math.sqrt(K))
    if causal:
        exps = exps.tril()
    return exps / exps.sum(-1, keepdim=True)


def mean_cosine(x_HTK: Tensor) -> Tensor:
    """Of two different tokens."""
    cosine_HTT = normalize(x_HTK, dim=-1) @ normalize(x_HTK, dim=-1).mT
    return (cosine_HTT.sum((1, 2)) - T) / (T * (T - 1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
def test_entropy_and_sink_are_those_that_are_claimed(regime: str, causal: bool) -> None:
    weight_HTT = weights(drawn(regime, causal=causal), causal=causal)[:, 1:]
    keys_T = torch.arange(2, T + 1) if causal else torch.full((T - 1,), T)
    entropy_HT = -torch.special.xlogy(weight_HTT, weight_HTT).sum(-1) / keys_T.log()
    kinds = REGIMES[regime] if regime == "captured" else REGIMES[regime] * H
    off = entropy_HT.mean(-1) - torch.tensor([kind.entropy for kind in kinds])
    assert off.abs().max() < 0.04  # adjusted at a part of the queries
    assert off.mean().abs() < 0.015
    sinks = torch.tensor([kind.sink for kind in kinds])
    off = (weight_HTT[:, :, 0].mean(-1) - sinks)[sinks > 0]
    assert (off.abs() < 0.03).all()


@pytest.mark.parametrize("regime", ["isotropic-0.5", "anisotropic"])
def test_keys_lie_in_as_narrow_a_cone_as_is_claimed(regime: str) -> None:
    one, (kind,) = drawn(regime), REGIMES[regime]
    for x_HTK in (one.q_BHTK[0], one.k_BGTK[0, :, 1:]):
        some = normalize(x_HTK, dim=-1)
        count = some.shape[1]
        cosine_H = (some.sum(1).square().sum(-1) - count) / (count * (count - 1))
        torch.testing.assert_close(
            cosine_H, torch.full((H,), kind.cosine).double(), rtol=0, atol=0.06
        )


def test_anisotropic_keys_differ_in_a_quarter_of_their_dimensions() -> None:
    k_HTK = drawn("anisotropic").k_BGTK[0, :, 1:]
    centred_HTK = k_HTK - k_HTK.mean(1, keepdim=True)
    assert torch.linalg.matrix_rank(centred_HTK, rtol=1e-6).tolist() == [K // 4] * H


def test_sink_and_values_of_captured_heads() -> None:
    one = drawn("captured")
    cosine_H = mean_cosine(one.v_BGTK[0])
    for head, kind in enumerate(REGIMES["captured"]):
        assert abs(cosine_H[head] - kind.value_cosine) < 0.06


def test_local_tokens_are_as_like_as_is_claimed_and_attend_near_ones() -> None:
    one = drawn("local")
    for x_HTK in (one.q_BHTK[0], one.k_BGTK[0], one.v_BGTK[0]):
        x = x_HTK - x_HTK.mean(1, keepdim=True)
        correlation = (x[:, 1:] * x[:, :-1]).sum() / x.square().sum()
        assert abs(correlation - 0.95) < 0.02
    distance_TT = (torch.arange(T)[:, None] - torch.arange(T)).abs()
    near = (weights(one, causal=False) * (distance_TT <= 48)).sum(-1).mean()
    assert near > 0.9
    far = (weights(drawn("isotropic-0.5"), causal=False) * (distance_TT <= 48)).sum(-1).mean()
    assert far < 0.4


def test_clustered_tokens_have_few_directions() -> None:
    k_TK = normalize(drawn("clustered").k_BGTK[0, 0], dim=-1)
    cosine_TT = k_TK @ k_TK.mT
    alike = cosine_TT > 0.6
    assert 0.5 / 16 < alike.double().mean() < 2 / 16
    # Who is alike to one is alike to the other: clusters, and no continuum.
    shared = (alike.double() @ alike.double())[alike] / alike.sum(-1)[:, None].expand_as(alike)[
        alike
    ]
    assert shared.mean() > 0.9


def test_shared_heads_have_queries_of_their_own() -> None:
    one = drawn("anisotropic", kv_heads=2)
    assert one.k_BGTK.shape == one.v_BGTK.shape == (1, 2, T, K)
    assert one.q_BHTK.shape == (1, H, T, K)
    assert not torch.allclose(one.q_BHTK[0, 0], one.q_BHTK[0, 1])
    weight_HTT = weights(one, causal=False)
    assert (weight_HTT[:, :, 0].mean(1) - 0.3).abs().max() < 0.06


def test_a_seed_is_a_draw() -> None:
    assert torch.equal(drawn("local").v_BGTK, drawn("local").v_BGTK)
    assert not torch.equal(drawn("local").v_BGTK, drawn("local", seed=1).v_BGTK)


@pytest.mark.parametrize("tokens", [1, 2, 5])
@pytest.mark.parametrize("regime", REGIMES)
def test_short_sequences_are_finite(regime: str, tokens: int) -> None:
    one = draw(regime, heads=2, kv_heads=2, tokens=tokens, width=4, causal=True, seed=0)
    assert all(bool(x.isfinite().all()) for x in (one.q_BHTK, one.k_BGTK, one.v_BGTK))


def test_words_for_several_regimes() -> None:
    assert regimes("all") == tuple(REGIMES)
    assert regimes("local, Isotropic") == (
        "local", "isotropic-0.2", "isotropic-0.5", "isotropic-0.8", "isotropic-0.95",
    )  # fmt: skip
    with pytest.raises(UsageError, match="unknown regime 'lokal'") as raised:
        regimes("lokal")
    assert raised.value.hint == "did you mean 'local'?"
