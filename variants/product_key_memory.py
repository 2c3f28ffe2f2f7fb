"""Product-key memory: a large table of values, addressed by pairs of keys from two small tables."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, layer_norm

from effattn_cli.attention import Card, FeedForward, SurveyRow, Unsupported, Usage


@final
class ProductKeyMemory(FeedForward):
    """Looks up the top k of n^2 values, whose keys are pairs from two tables of n keys.

    A head's query has two halves; slot (i, j) scores q1 a_i + q2 b_j, and the top k slots are among
    the pairs of the top k keys of each half. y = sum over heads of softmax(scores) values (Large
    Memory Layers with Product Keys, Lample et al. 2019, arXiv:1907.05242). Letters: P width of half
    a query, J keys of a half, S the top k, C candidate pairs.
    """

    card = Card(
        title="Product-key memory",
        families=("sparse",),
        paper="arXiv:1907.05242",
        year=2019,
        time="N",
        memory="N",
        causal="optional",
        kind="feed-forward",
        aliases=("pkm", "product-keys"),
        survey=SurveyRow(complexity="N^2", decode=True, classes="Sparse"),
        notes=(
            "the survey prints the order of the attention, which is left as it is; time and memory"
            " here are those of the feed-forward alone",
            "halves of queries are layer-normalised, as in lucidrains' code; the paper's batch norm"
            " sees later tokens and other sequences, the authors' code leaves it off by default",
            "queries and scores are in float32 at least, since they decide which slots are read",
            "the gradient of the values is dense; the authors' own is sparse",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(FeedForward.Config):
        keys: int = 512
        """Keys in each of a head's two tables (|K|^1/2 in the paper): its square are the values."""
        queries: int = 4
        """Queries of a token (heads in the paper): their keys are their own, the values shared."""
        best: int = 32
        """Slots that a query reads (k in the paper)."""
        width: int = 256
        """Width of a query, both halves together."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        J, H, P = config.keys, config.queries, config.width // 2
        if not 1 <= config.best <= J:
            raise Unsupported(f"best {config.best} is not from 1 to {J}, the keys")
        if config.width < 2 or config.width % 2:
            raise Unsupported(f"width {config.width} is not a positive even number")
        if H < 1:
            raise Unsupported(f"queries {H} is below 1")
        self.keys, self.best = J, config.best
        self.to_query = nn.Linear(config.dim, 2 * H * P, bias=False)
        self.norm = nn.LayerNorm(P)
        self.keys_ZPJ = nn.Parameter(torch.randn(2 * H, P, J).mul_(P**-0.5))  # Z: halves of heads
        self.values_SD = nn.Parameter(torch.randn(J * J, config.dim).mul_(config.dim**-0.5))
        # In two sorted lists, pair (i, j) can be in the top k only if (i + 1) (j + 1) <= k.
        ranks = [(i, j) for i in range(self.best) for j in range(self.best // (i + 1))]
        self.first_C: Tensor
        self.second_C: Tensor
        for name, column in zip(("first_C", "second_C"), zip(*ranks, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(column), persistent=False)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        slot_NHS, score_NHS = self._found(x_BTD.flatten(0, 1))
        weight_NHS = score_NHS.softmax(-1).to(x_BTD.dtype)
        slot_NE, weight_NE = slot_NHS.flatten(1), weight_NHS.flatten(1)
        return _read(self.values_SD, slot_NE, weight_NE).view_as(x_BTD)

    def _found(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        """The top slots of each head, and their scores."""
        dtype = torch.promote_types(x_ND.dtype, torch.float32)
        query_NE = x_ND.to(dtype) @ self.to_query.weight.to(dtype).mT
        Z, P, _ = self.keys_ZPJ.shape
        query_NZP = query_NE.view(-1, Z, P)
        norm = self.norm.weight.to(dtype), self.norm.bias.to(dtype)
        query_NZP = layer_norm(query_NZP, (P,), *norm, self.norm.eps)
        score_ZNJ = query_NZP.transpose(0, 1) @ self.keys_ZPJ.to(dtype)
        # The two halves of a head are adjacent.
        one_HNJ, two_HNJ = torch.unflatten(score_ZNJ, 0, (-1, 2)).unbind(1)
        i_HNS, j_HNS = self._best(one_HNJ, two_HNJ)
        best_HNS = one_HNJ.gather(-1, i_HNS) + two_HNJ.gather(-1, j_HNS)
        return (i_HNS * self.keys + j_HNS).transpose(0, 1), best_HNS.transpose(0, 1)

    @torch.no_grad()
    def _best(self, one_HNJ: Tensor, two_HNJ: Tensor) -> tuple[Tensor, Tensor]:
        """The pairs of keys with the largest sums, in no particular order."""
        (one_HNS, i_HNS), (two_HNS, j_HNS) = (x.topk(self.best) for x in (one_HNJ, two_HNJ))
        pair_HNC = one_HNS[..., self.first_C] + two_HNS[..., self.second_C]
        at_HNS = pair_HNC.topk(self.best, sorted=False).indices
        return i_HNS.gather(-1, self.first_C[at_HNS]), j_HNS.gather(-1, self.second_C[at_HNS])

    def usage(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Usage:
        weights = sum(weight.numel() for weight in self.parameters()) - self.values_SD.numel()
        H = self.keys_ZPJ.shape[0] // 2
        return Usage(
            total_parameters=weights + self.values_SD.numel(),
            active_parameters=weights + H * self.best * self.values_SD.shape[1],
        )


def _read(values_SD: Tensor, slot_NE: Tensor, weight_NE: Tensor) -> Tensor:
    """Each token's weighted sum of values, (N, D)."""
    y_ND = embedding_bag(slot_NE, values_SD.detach(), per_sample_weights=weight_NE, mode="sum")
    if not (torch.is_grad_enabled() and values_SD.requires_grad):
        return y_ND
    taught: Any = _Taught.apply
    return taught(values_SD, y_ND, slot_NE, weight_NE.detach())


class _Taught(torch.autograd.Function):
    """y, with the gradient of the values: for each slot a sum over the tokens that read it.

    Computed as such a sum, it takes less than half the time of torch's own gradient on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any, values_SD: Tensor, y_ND: Tensor, slot_NE: Tensor, weight_NE: Tensor
    ) -> Tensor:
        ctx.slots = len(values_SD)
        ctx.save_for_backward(slot_NE, weight_NE)
        return y_ND.view_as(y_ND)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (grad_ND,) = grads
        slot_NE, weight_NE = ctx.saved_tensors
        slot_R = slot_NE.flatten()  # R: all reads
        order_R = slot_R.argsort(stable=True)
        count_S = slot_R.new_zeros(ctx.slots).scatter_add_(0, slot_R, torch.ones_like(slot_R))
        values_grad_SD = embedding_bag(
            order_R // slot_NE.shape[1], grad_ND, count_S.cumsum(0) - count_S,
            per_sample_weights=weight_NE.flatten()[order_R], mode="sum",
        )  # fmt: skip
        return values_grad_SD, grad_ND, None, None
