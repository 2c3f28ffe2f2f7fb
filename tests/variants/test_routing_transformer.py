import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Decodable
from effattn_cli.errors import Unsupported
from tests.references.routing_transformer import reference
from tests.references.sdpa import softmax_attention, visible

Routing = catalog.load("routing-transformer")
module = importlib.import_module(Routing.__module__)


def layer_of(tokens: int, **shape: Any) -> Attention:
    return laws.make(Routing, tokens, dtype=torch.float64, **shape)


def inputs(tokens: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.randn(2, 4, tokens, 16, generator=generator).double() for _ in range(3))


@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("share_qk", [False, True])
@pytest.mark.parametrize(("clusters", "window"), [(7, 20), (3, 200), (5, 1)])
def test_equals_its_reference(
    monkeypatch: pytest.MonkeyPatch,
    clusters: int,
    window: int,
    share_qk: bool,
    causal: bool,
    pieces: bool,
) -> None:
    monkeypatch.setattr(module, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(module, "CACHED", 3 * clusters * 90)
    shape = {"clusters": clusters, "window": window, "share_qk": share_qk, "causal": causal}
    layer = layer_of(90, **shape)
    valid_BT = torch.arange(90) < torch.tensor([[90], [53]])
    q, k, v = (x.requires_grad_() for x in inputs(90))
    both = layer.attend(q, k, v, valid_BT), reference(layer, q, k, v, valid_BT)
    outs = [out_BHTK.transpose(1, 2)[valid_BT] for out_BHTK in both]
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-9, atol=1e-9)
    grads = [
        torch.autograd.grad(
            out.square().sum(), (q, k, v), materialize_grads=True, allow_unused=True
        )
        for out in outs
    ]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_one_cluster_of_all_is_exact_attention_with_normalised_queries_and_keys(
    causal: bool,
) -> None:
    layer = layer_of(60, clusters=1, share_qk=False, causal=causal)
    q, k, v = inputs(60)
    q = (q - q.mean(-1, keepdim=True)) / q.var(-1, keepdim=True, unbiased=False).sqrt()
    k = (k - k.mean(-1, keepdim=True)) / k.var(-1, keepdim=True, unbiased=False).sqrt()
    want = softmax_attention(q, k, v, visible(60, causal=causal))
    torch.testing.assert_close(layer.attend(q, k, v), want, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_mean_over_clusters_and_nothing_for_a_token_in_none() -> None:
    """Two centres along the axes; of four tokens, one is near both, one near neither."""
    layer = laws.make(
        Routing, 4, dim=4, heads=1, clusters=2, window=2, share_qk=True, dtype=torch.float64
    )
    x_TK = torch.tensor([[3, -1, -1, -1], [3, 3, -3, -3], [-1, 3, -1, -1], [-3, -3, 3, 3.0]])
    centre_HCK = torch.tensor([[[1, 0.1, 0, 0], [0.1, 1, 0, 0]]])
    layer.centre_HCK = centre_HCK.double()
    x = x_TK.double()[None, None]
    weight = layer.attend(x, x, torch.eye(4).double()[None, None])[0, 0]  # row i: what i sees
    assert torch.equal(weight[3], torch.zeros(4).double())
    torch.testing.assert_close(weight[:3].sum(1), torch.ones(3).double())
    assert weight[0].nonzero().flatten().tolist() == [0, 1]
    assert weight[2].nonzero().flatten().tolist() == [1, 2]
    normal = (x[0, 0] - x[0, 0].mean(1, keepdim=True)) / (
        x[0, 0].var(1, keepdim=True, unbiased=False) + 1e-5
    ).sqrt()
    pair = [(normal[1] @ normal[[i, j]].T / 2).softmax(0) for i, j in ((0, 1), (1, 2))]
    want = torch.stack([pair[0][0], pair[0][1] + pair[1][0], pair[1][1]]) / 2
    torch.testing.assert_close(weight[1, :3], want)


@torch.no_grad()
def test_a_step_is_the_last_row_of_a_forward_over_the_tokens_so_far() -> None:
    layer = layer_of(90, clusters=6, window=9, causal=True)
    assert isinstance(layer, Decodable)
    x, state = laws.tokens_in(90).double(), layer.init_state(2, 0)
    for t in range(90):
        step, state = layer.decode(x[:, t], state)
        torch.testing.assert_close(step, layer(x[:, : t + 1])[:, t], rtol=1e-9, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("context", [0, 5, 50])
def test_a_random_context_fills_clusters_with_tokens_that_are_there(context: int) -> None:
    layer = layer_of(60, clusters=4, window=10, causal=True)
    assert isinstance(layer, Decodable)
    state = layer.init_state(3, context)
    filled = state.score_BHCW.isfinite()
    assert filled.sum(-1).unique().tolist() == [min(10, context)]
    for cluster, mask in zip(state.position_BHCW.flatten(0, 2), filled.flatten(0, 2), strict=True):
        places = cluster[mask]
        assert len(places.unique()) == len(places)
        assert (places < context).all()


@torch.no_grad()
@pytest.mark.parametrize("share_qk", [False, True])
def test_values_of_later_tokens_never_leak(share_qk: bool) -> None:
    layer = laws.make(Routing, 200, causal=True, share_qk=share_qk)
    q, k, v = (x.float() for x in inputs(200))
    y = layer.attend(q, k, v)
    for t in (0, 1, 77, 199):
        changed = v.clone()
        changed[:, :, t:] += 1
        assert torch.equal(layer.attend(q, k, changed)[:, :, :t], y[:, :, :t])


@pytest.mark.parametrize(("tokens", "clusters", "window"), [(1, 1, 1), (1000, 32, 32), (90, 9, 10)])
def test_root_n_clusters_that_hold_all_tokens_once(tokens: int, clusters: int, window: int) -> None:
    layer = layer_of(tokens)
    assert layer.get_buffer("centre_HCK").shape[1] == clusters
    assert layer.window == window


def test_shares_queries_with_keys_where_causal() -> None:
    kept = {causal: set(layer_of(8, causal=causal).projections) for causal in (False, True)}
    assert kept == {False: {"q", "k", "v", "out"}, True: {"q", "v", "out"}}


def test_refusals() -> None:
    with pytest.raises(Unsupported, match=r"^clusters 0 is below 1$"):
        layer_of(50, clusters=0)
    with pytest.raises(Unsupported, match=r"^window -3 is below 1$"):
        layer_of(50, window=-3)
    layer = layer_of(50, share_qk=False, causal=True)
    assert isinstance(layer, Decodable)
    with pytest.raises(Unsupported, match=r"^Routing Transformer decodes only with share_qk$"):
        layer.init_state(1, 0)
