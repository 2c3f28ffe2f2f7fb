"""Luna: attention packed into a few learned queries, then unpacked."""

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported, merge_heads
from effattn_cli.parts.chunked import CHUNK, pieces_pay
from effattn_cli.parts.exact import exact
from effattn_cli.parts.precision import wide


@dataclass(frozen=True)
class Packed:
    """Decoding state, independent of the context length: the sum of w v^T so far."""

    sum_BHKL: Tensor
    length: int


@final
class Luna(Decodable[Packed]):
    """Packs the sequence into L learned queries, and every token attends to the result.

    pack = softmax(p k^T / sqrt K) v and out = softmax(q c^T / sqrt K) c with c = pack W_c (Luna, Ma
    et al. 2021, arXiv:2106.01540). In the causal form, c_t = mean over s <= t of w_s v_s with
    w_s = softplus(p k_s / sqrt K), where softplus(x) = log2(1 + 2^x).
    """

    card = Card(
        title="Luna",
        families=("memory",),
        paper="arXiv:2106.01540",
        year=2021,
        time="N k",
        memory="N",
        state="k",
        causal="optional",
        kind="own mechanism",
        survey=SurveyRow(complexity="kN", decode=True, classes="M"),
        notes=(
            "the queries p are a parameter of the layer, already projected; the paper learns them"
            " for the first layer, and hands the pack, normed, to the next layer as its queries",
            "keys and values of the second attention are one projection, the default of the"
            " authors' code; those of the first are two, as in the paper",
            "causal: W_c is on each token in the authors' code, where it is the value projection",
            "causal: the authors' code has had elu(x) + 1 as well as this softplus",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        length: int = 16
        """Learned queries that hold the pack (l in the paper)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.length < 1:
            raise Unsupported(f"length {config.length} is below 1")
        self.length, width = config.length, self.heads * self.head_dim
        self.pack_HLK = nn.Parameter(torch.randn(self.heads, config.length, self.head_dim))
        self.context = None if self.causal else nn.Linear(width, width, bias=False)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        if self.context is None:  # causal; right padding: no real query sees it
            return self._causal(q_BHTK, k_BHTK, v_BHTK)
        pack_BHLK = self.pack_HLK.expand(q_BHTK.shape[0], -1, -1, -1)
        packed_BHLK = exact(pack_BHLK, k_BHTK, v_BHTK, valid_BT)
        c_BHLK = self.split("q", self.context(merge_heads(packed_BHLK)))
        return exact(q_BHTK, c_BHLK, c_BHLK)

    def _causal(self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
        """Within a chunk by masked products, between chunks by the running sum of v w^T.

        This is linear attention applied twice: first w takes the role of the values, then that of
        the keys, with the same sums.
        """
        if v_BHTK.dtype == torch.float16:  # its range is too small for sums over the length
            return self._causal(q_BHTK.float(), k_BHTK.float(), v_BHTK.float()).half()
        T, dtype = q_BHTK.shape[2], v_BHTK.dtype
        C = min(CHUNK, T)
        q_BHZCK, v_BHZCK, w_BHZCL = (
            torch.unflatten(pad(x, (0, 0, 0, -T % C)) if T % C else x.contiguous(), 2, (-1, C))
            for x in (q_BHTK, v_BHTK, self._weights(k_BHTK))
        )
        before_BHZKL = _before(v_BHZCK.mT @ w_BHZCL)
        seen_ZC1 = torch.arange(1, T + -T % C + 1, device=q_BHTK.device).view(-1, C, 1)
        scores_BHZCL = (q_BHZCK @ v_BHZCK.mT).tril() @ w_BHZCL + q_BHZCK @ before_BHZKL
        scale_ZC1 = self.head_dim**-0.5 / seen_ZC1.to(torch.promote_types(dtype, torch.float32))
        share_BHZCL = ((scores_BHZCL * scale_ZC1).softmax(-1) / seen_ZC1).to(dtype)
        within_BHZCC = (share_BHZCL @ w_BHZCL.mT).tril()
        out_BHZCK = within_BHZCC @ v_BHZCK + share_BHZCL @ before_BHZKL.mT
        return out_BHZCK.flatten(2, 3)[:, :, :T]

    def _weights(self, k_BHTK: Tensor) -> Tensor:
        scores_BHTL = k_BHTK @ (self.pack_HLK.to(k_BHTK.dtype) * self.head_dim**-0.5).mT
        return softplus(scores_BHTL, beta=math.log(2))

    def init_state(self, batch: int, context: int) -> Packed:
        shape = (batch, self.heads, self.head_dim, self.length)
        sum_BHKL = self.blank(*shape, random=context > 0)
        return Packed(wide(sum_BHKL) * context, context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Packed
    ) -> tuple[Tensor, Packed]:
        w_BHxL = self._weights(k_BHK.unsqueeze(2))
        sum_BHKL = state.sum_BHKL + v_BHK.unsqueeze(3) * w_BHxL
        state = replace(state, sum_BHKL=sum_BHKL, length=state.length + 1)
        c_BHLK = (sum_BHKL / state.length).mT.to(v_BHK.dtype)
        return exact(q_BHK.unsqueeze(2), c_BHLK, c_BHLK).squeeze(2), state


def _before(sums_BHZKL: Tensor) -> Tensor:
    """For each chunk, the sum over all earlier chunks."""
    wide_BHZKL = wide(sums_BHZKL)
    if pieces_pay(wide_BHZKL):  # a CPU's cumsum is slow
        chunks = wide_BHZKL.unbind(2)
        parts = accumulate(chunks[:-1], torch.add, initial=torch.zeros_like(chunks[0]))
        return torch.stack(list(parts), dim=2).to(sums_BHZKL.dtype)
    return (wide_BHZKL.cumsum(2) - wide_BHZKL).to(sums_BHZKL.dtype)
