from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from effattn_cli.parts.clusters import by_cluster, hamming_clusters
from tests.equality import equals_its_reference
from tests.references.clustered import clusters, reference
from tests.references.sdpa import softmax_attention

Clustered = catalog.load("clustered")


def layer_of(tokens: int, **shape: Any) -> Attention:
    return laws.make(Clustered, tokens, dtype=torch.float64, **shape)


def inputs(tokens: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.randn(2, 4, tokens, 16, generator=generator).double() for _ in range(3))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        {"clusters": 7},
        {"clusters": 7, "topk": 5},
        {"clusters": 1, "topk": 200, "bits": 3},
        {"clusters": 40, "topk": 1, "bits": 63, "iterations": 1},
    ],
    ids=str,
)
def test_equals_its_reference(shape: dict[str, Any], padded: bool) -> None:
    layer = layer_of(90, **shape)
    equals_its_reference(layer, reference, padded=padded)


@torch.no_grad()
def test_clusters_are_those_of_k_means_on_whole_numbers() -> None:
    layer = layer_of(120, clusters=9, bits=20)
    q = inputs(120)[0]
    planes_LS = layer.get_buffer("planes_LS")
    bits = (q @ planes_LS[:-1] + planes_LS[-1] > 0).flatten(0, 1) * 2.0 - 1
    got = hamming_clusters(bits, 9, 10, None)
    assert got.tolist() == [clusters(layer, q_TK) for q_TK in q.flatten(0, 1)]
    assert len(set(got[0].tolist())) > 5


@torch.no_grad()
@pytest.mark.parametrize("topk", [0, 3])
def test_a_cluster_for_every_query_is_exact_attention(topk: int) -> None:
    layer = layer_of(60, bits=63, topk=topk)
    q, k, v = inputs(60)
    want = softmax_attention(q, k, v)
    torch.testing.assert_close(layer.attend(q, k, v), want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_topk_of_all_keys_is_exact_attention() -> None:
    q, k, v = inputs(60)
    y = layer_of(60, clusters=3, topk=60).attend(q, k, v)
    torch.testing.assert_close(y, softmax_attention(q, k, v), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_error_falls_with_clusters_and_with_topk() -> None:
    q, k, v = inputs(250)
    want = softmax_attention(3 * q, k, v)

    def error(**options: int) -> float:
        y = layer_of(250, bits=63, **options).attend(3 * q, k, v)
        return ((y - want).norm() / want.norm()).item()

    assert error(clusters=4) > error(clusters=60) > error(clusters=200)
    assert error(clusters=20) > error(clusters=20, topk=32) > 1.2 * error(clusters=20, topk=128)


def test_chunks_hold_the_tokens_of_one_cluster() -> None:
    cluster_GT = torch.tensor([[2, 0, 2, 2, 0, 2, 2], [1, 1, 1, 1, 1, 1, 1]])
    slot_GT, of_GZ = by_cluster(cluster_GT, 3, 2)
    assert of_GZ.tolist() == [[0, 2, 2, 2, 2], [1, 1, 1, 1, 2]]
    assert slot_GT.tolist() == [[2, 0, 3, 4, 1, 5, 6], [0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters 0 is below 1"),
        ({"bits": 0}, "bits 0 is below 1"),
        ({"bits": 64}, "bits 64 is above 63"),
        ({"iterations": 0}, "iterations 0 is below 1"),
        ({"topk": -1}, "topk -1 is below 0"),
        ({"causal": True}, "Clustered attention cannot be causal"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported) as caught:
        layer_of(50, **options)
    assert str(caught.value) == message
