"""What parts do otherwise in an export gives the same, by operators that ONNX has."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from effattn_cli.parts.chunked import CHUNK
from effattn_cli.parts.decay import decayed_products
from effattn_cli.parts.exact import exact
from effattn_cli.parts.hashing import Sorted, owners
from effattn_cli.parts.lse_merge import Part, union
from effattn_cli.parts.stabilised import read
from effattn_cli.parts.triangular import inverse

#: Operators of torch of which the exporter makes nothing, or something else.
LACKING = {
    "_scaled_dot_product_flash_attention_for_cpu",
    "as_strided",
    "as_strided_copy",
    "as_strided_scatter",
    "cummax",
    "searchsorted",
}


class Run(nn.Module):
    """A function as a module."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.run = run

    def forward(self, *inputs: Tensor) -> Any:
        return self.run(*inputs)


def of_two_parts(q: Tensor, k: Tensor, v: Tensor, sink: Tensor) -> Tensor:
    parts = [Part(causal=True), Part(q=(8, None), k=(0, 4))]
    return union(q, [(k, v)], parts, sink)


def padded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return exact(q, k, v, torch.arange(q.shape[2]) < torch.tensor([[q.shape[2]], [3]]))


def near(row: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    return Sorted(row, key, 5).near(torch.tensor([[[[0], [1]]]]), 2)


def a_row(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).double()


QKV = [a_row(2, 3, 12, width) for width in (4, 4, 4)]
CASES: dict[str, tuple[Callable[..., Any], list[Tensor]]] = {
    "inverse": (inverse, [a_row(2, 3, CHUNK, CHUNK).tril(-1) / 8]),
    "inverse of a part": (lambda A: inverse(A[1]), [a_row(2, 3, CHUNK, CHUNK).tril(-1) / 8]),
    "decayed products": (
        decayed_products,
        [a_row(2, 1, 3, CHUNK, 5), a_row(3, CHUNK, 5), -a_row(3, CHUNK, 5).abs().cumsum(1)],
    ),
    "union": (of_two_parts, [*QKV, a_row(3)]),
    "padding": (padded, QKV),
    "owners": (lambda end: owners(end, 9), [torch.tensor([[0, 3, 3, 7], [2, 2, 8, 9]])]),
    "near": (
        near,
        [a_row(1, 1, 6, 3), torch.tensor([[[[0, 4, 7, 8, 9, 99], [1, 2, 3, 6, 10, 99]]]])],
    ),
    "stabilised": (
        read,
        [
            *(a_row(1, 2, 2 * CHUNK, width) for width in (4, 4, 3)),
            a_row(1, 2, 2 * CHUNK),
            -a_row(1, 2, 2 * CHUNK).abs(),
        ],
    ),
}


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter's own
@pytest.mark.parametrize("case", CASES)
def test_an_export_gives_the_same_without_what_onnx_lacks(case: str) -> None:
    run, inputs = CASES[case]
    exported = torch.export.export(Run(run), tuple(inputs)).run_decompositions({})
    got, want = exported.module()(*inputs), run(*inputs)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    called = {str(node.target).split(".")[1] for node in exported.graph.nodes
              if node.op == "call_function" and "." in str(node.target)}  # fmt: skip
    assert not called & LACKING
