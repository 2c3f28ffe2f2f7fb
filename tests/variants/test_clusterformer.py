from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.clusterformer import reference
from tests.references.sdpa import softmax_attention

Clusterformer = catalog.load("clusterformer")


def layer_of(tokens: int, **shape: Any) -> Attention:
    return laws.make(Clusterformer, tokens, dtype=torch.float64, **shape)


def inputs(tokens: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.randn(2, 4, tokens, 16, generator=generator).double() for _ in range(3))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("clusters", "chunk"), [(1, 16), (8, 30), (200, 1), (5, 48)])
def test_equals_its_reference_across_chunks(clusters: int, chunk: int, padded: bool) -> None:
    layer = layer_of(96, clusters=clusters, chunk=chunk)
    equals_its_reference(layer, reference, padded=padded)


@torch.no_grad()
def test_one_chunk_is_exact_attention() -> None:
    q, k, v = inputs(100)
    y = layer_of(100).attend(q, k, v)
    torch.testing.assert_close(y, softmax_attention(q, k, v), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_tokens_of_one_centre_attend_each_other() -> None:
    """Six tokens along two axes, in chunks of three: those along the same axis meet."""
    layer = layer_of(6, dim=2, heads=1, clusters=2, chunk=3)
    layer.centre_EC = torch.eye(2).double()
    side = [0, 1, 1, 0, 1, 0]
    k = torch.eye(2).double()[side][None, None]
    v = torch.eye(6, dtype=torch.float64)[None, None]
    seen = layer.attend(k, k, v[..., :2])[0, 0]  # values of tokens 0 and 1 only
    assert seen.gt(0).tolist() == [[s == 0, s == 1] for s in side]
    torch.testing.assert_close(seen.sum(1), torch.full((6,), 1 / 3).double())


@torch.no_grad()
def test_likely_clusters_bring_what_is_alike_together() -> None:
    """Where tokens come in directions, attention in chunks of them is near exact attention."""
    generator = torch.Generator().manual_seed(3)
    way_SK = torch.nn.functional.normalize(torch.randn(4, 64, generator=generator), dim=1)
    side_T = torch.randint(4, (256,), generator=generator)
    x = (16 * way_SK[side_T] + torch.randn(256, 64, generator=generator)).double()[None, None]
    v = torch.randn(1, 1, 256, 64, generator=generator).double()
    want = softmax_attention(x, x, v)
    errors = []
    for clusters in (1, 4):
        layer = layer_of(256, heads=1, chunk=64, clusters=clusters)
        if clusters == 4:
            layer.centre_EC = way_SK.double().T
        errors.append(((layer.attend(x, x, v) - want).norm() / want.norm()).item())
    assert errors[1] < errors[0] / 2


def test_refusals() -> None:
    with pytest.raises(Unsupported, match=r"^clusters 0 is below 1$"):
        layer_of(50, clusters=0)
    with pytest.raises(Unsupported, match=r"^chunk -1 is below 1$"):
        layer_of(50, chunk=-1)
    with pytest.raises(Unsupported, match=r"^Clusterformer cannot be causal$"):
        layer_of(50, causal=True)
