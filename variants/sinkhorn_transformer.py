"""Sinkhorn Transformer: local attention, and attention to a learned sorting of the blocks."""

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from effattn_cli.attention import Card, Decodable, SurveyRow, Unsupported
from effattn_cli.parts.exact import exact
from effattn_cli.parts.sinkhorn import balanced, mixed, mixed_real


@dataclass(frozen=True)
class SortedBlocks:
    """What decoding keeps: all keys and values, and those sorted for the block at work."""

    row_BHSE: Tensor  # key and value by position, the first `length` of S filled
    sum_BHE: Tensor  # of queries and keys so far
    logits_BHZZ: Tensor  # of each block but the first, for the blocks before it
    near_BHCE: Tensor
    length: int


@final
class SinkhornTransformer(Decodable[SortedBlocks]):
    """Each block of C tokens attends itself and a block mixed of all by a doubly stochastic R.

    S_i = F(sum of [q, k] in block i) with F two layers and a relu, R = Sinkhorn(S / temperature),
    and block i attends [sum_j R_ij K_j ; K_i] by softmax(q k / sqrt K)
    (Sparse Sinkhorn Attention, Tay et al. 2020, arXiv:2002.11296). C: block_size.
    """

    card = Card(
        title="Sinkhorn Transformer",
        families=("learnable-pattern",),
        paper="arXiv:2002.11296",
        year=2020,
        time="N sqrt N",
        memory="N",
        causal="optional",
        kind="own mechanism",
        survey=SurveyRow(complexity="B^2", decode=True, classes="LP"),
        notes=(
            "the survey's B^2 leaves out the number of blocks: N C + N^2 / C, N sqrt N at best",
            "the sorting network sees the sums of queries and keys, which stand for those of x;"
            " each head has its own",
            "no Gumbel noise: the authors add it to S in training",
            "one softmax goes over the sorted block and the own one, which the paper adds",
            "a sorted token counts by the share of R that falls on real tokens",
            "causal: S_i sees the tokens up to the first of block i, R_ij is 0 for j >= i, and the"
            " sum of a column goes over the rows up to i, so that nothing later is seen",
            "a decoding step that opens a block sorts anew, and reads all tokens",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        block_size: int | None = None
        """Tokens of a block; by default sqrt N, N being the longest length, which costs least."""
        iterations: int = 8
        """Times that rows and columns are balanced."""
        temperature: float = 0.75
        """Divides the sorting logits: the lower, the nearer to a permutation."""
        sortcut: int = 0
        """If not 0, all queries attend the first so many sorted blocks, and nothing else."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        root = max(1, round(math.sqrt(config.tokens)))
        self.block = root if config.block_size is None else config.block_size
        for name, given in (("block_size", self.block), ("iterations", config.iterations)):
            if given < 1:
                raise Unsupported(f"{name} {given} is below 1")
        if config.temperature <= 0:
            raise Unsupported(f"temperature {config.temperature} is not above 0")
        if config.sortcut < 0:
            raise Unsupported(f"sortcut {config.sortcut} is below 0")
        if config.sortcut and config.causal:
            raise Unsupported(f"{self.card.title} with sortcut cannot be causal")
        self.iterations, self.sortcut = config.iterations, config.sortcut
        self.temperature = config.temperature
        blocks, K = -(-config.tokens // self.block), self.head_dim
        self.inner_HEK = nn.Parameter(torch.randn(self.heads, 2 * K, K) * (2 * K) ** -0.5)
        self.outer_HKZ = nn.Parameter(torch.randn(self.heads, K, blocks) * K**-0.5)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, real_BT: Tensor | None = None
    ) -> Tensor:
        T = q_BHTK.shape[2]
        q_BHZCK, row_BHZCE = self._cut(q_BHTK), self._cut(torch.cat([k_BHTK, v_BHTK], dim=-1))
        if self.causal:  # padding trails: no real query sees it, nor does the sum of one
            return self._causal(q_BHZCK, row_BHZCE)[:, :, :T]
        if real_BT is None and T % self.block:
            real_BT = torch.ones(1, T, dtype=torch.bool, device=q_BHTK.device)
        real = None if real_BT is None else self._cut(real_BT[:, None, :, None]).squeeze(-1)
        return self._bidirectional(q_BHZCK, row_BHZCE, real)[:, :, :T]

    def _bidirectional(
        self, q_BHZCK: Tensor, row_BHZCE: Tensor, real_BxZC: Tensor | None
    ) -> Tensor:
        both_BHZCE = torch.cat([q_BHZCK, row_BHZCE[..., : self.head_dim]], dim=-1)
        seen = torch.ones((), dtype=torch.bool, device=q_BHZCK.device)
        if real_BxZC is not None:
            both_BHZCE = both_BHZCE.masked_fill(~real_BxZC.unsqueeze(-1), 0)
            there_BxZ = real_BxZC[..., 0]
            seen = there_BxZ.unsqueeze(-1) & there_BxZ.unsqueeze(-2)
        logits_BHZZ = self._logits(_sums(both_BHZCE), both_BHZCE.shape[2])
        sort_BHZZ = balanced(logits_BHZZ, seen, self.iterations, causal=False)
        sort_BHYZ = sort_BHZZ[:, :, : self.sortcut or None]
        if real_BxZC is None:
            near_BHYCE, add_BHYS = mixed(sort_BHYZ, row_BHZCE), None
        else:
            near_BHYCE, add_BHYS = mixed_real(sort_BHYZ, row_BHZCE, real_BxZC)
        if self.sortcut:
            mask = None if add_BHYS is None else add_BHYS.flatten(2).unsqueeze(2)
            k_BHSK, v_BHSK = near_BHYCE.flatten(2, 3).chunk(2, dim=-1)
            q_BHTK = q_BHZCK.flatten(2, 3)
            return scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSK, attn_mask=mask)
        if add_BHYS is not None and real_BxZC is not None:
            lowest = torch.finfo(add_BHYS.dtype).min
            own_BHZC = torch.zeros_like(add_BHYS).masked_fill(~real_BxZC, lowest)
            add_BHYS = torch.cat([add_BHYS, own_BHZC], dim=-1).flatten(0, 1).unsqueeze(2)
        return _within(q_BHZCK, near_BHYCE, row_BHZCE, add_BHYS)

    def _causal(self, q_BHZCK: Tensor, row_BHZCE: Tensor) -> Tensor:
        # Nothing is before the first block: row i of R is of block i + 1.
        first_BHCK = exact(q_BHZCK[:, :, 0], *row_BHZCE[:, :, 0].chunk(2, dim=-1), causal=True)
        if q_BHZCK.shape[2] == 1:
            return first_BHCK
        both_BHZCE = torch.cat([q_BHZCK, row_BHZCE[..., : self.head_dim]], dim=-1)
        before_BHZE = _sums(both_BHZCE)[:, :, :-1].cumsum(2) + both_BHZCE[:, :, 1:, 0]
        sort_BHZZ = self._sorting(self._logits(before_BHZE, before_BHZE.shape[2]))
        near_BHZCE = mixed(sort_BHZZ, row_BHZCE[:, :, :-1])
        C = self.block
        seen_CS = torch.ones(C, 2 * C, dtype=torch.bool, device=q_BHZCK.device).tril(C)
        rest_BHTK = _within(q_BHZCK[:, :, 1:], near_BHZCE, row_BHZCE[:, :, 1:], seen_CS)
        return torch.cat([first_BHCK, rest_BHTK], dim=2)

    def _cut(self, x_BHTE: Tensor) -> Tensor:
        missing = -x_BHTE.shape[2] % self.block
        x_BHTE = pad(x_BHTE, (0, 0, 0, missing)) if missing else x_BHTE
        return x_BHTE.unflatten(2, (-1, self.block))

    def _logits(self, sums_BHZE: Tensor, blocks: int) -> Tensor:
        inner_HEK, outer_HKZ = (x.to(sums_BHZE.dtype) for x in (self.inner_HEK, self.outer_HKZ))
        return (sums_BHZE @ inner_HEK).relu() @ outer_HKZ[..., :blocks] / self.temperature

    def _sorting(self, logits_BHZZ: Tensor) -> Tensor:
        seen_ZZ = torch.ones_like(logits_BHZZ[0, 0], dtype=torch.bool).tril()
        return balanced(logits_BHZZ, seen_ZZ, self.iterations, causal=True)

    def start(self, batch: int, context: int) -> SortedBlocks:
        H, E, blocks = self.heads, 2 * self.head_dim, self.outer_HKZ.shape[-1]
        sum_BHE = _wide(self.blank(batch, H, E, random=context > 0) * context**0.5)
        return SortedBlocks(
            self.blank(batch, H, blocks * self.block, E, random=True),
            sum_BHE,
            sum_BHE.new_empty(batch, H, blocks - 1, blocks - 1).normal_(),
            self.blank(batch, H, self.block, E, random=True),
            context,
        )

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: SortedBlocks
    ) -> tuple[Tensor, SortedBlocks]:
        block, place = divmod(state.length, self.block)
        state.row_BHSE[:, :, state.length] = torch.cat([k_BHK, v_BHK], dim=-1)
        sum_BHE = state.sum_BHE + _wide(torch.cat([q_BHK, k_BHK], dim=-1))
        near_BHCE = state.near_BHCE
        if block and not place:
            logits_BHxZ = self._logits(sum_BHE.unsqueeze(2), block)
            state.logits_BHZZ[:, :, block - 1 : block, :block] = logits_BHxZ
            sort_BHZZ = self._sorting(state.logits_BHZZ[:, :, :block, :block])
            before_BHZCE = self._cut(state.row_BHSE[:, :, : block * self.block])
            near_BHCE = mixed(sort_BHZZ[:, :, -1:], before_BHZCE)[:, :, 0]
        own_BHCE = state.row_BHSE[:, :, block * self.block : state.length + 1]
        seen_BHSE = torch.cat([near_BHCE, own_BHCE], dim=2) if block else own_BHCE
        y_BHK = exact(q_BHK.unsqueeze(2), *seen_BHSE.chunk(2, dim=-1)).squeeze(2)
        return y_BHK, replace(state, sum_BHE=sum_BHE, near_BHCE=near_BHCE, length=state.length + 1)


def _within(q_BHZCK: Tensor, near_BHZCE: Tensor, own_BHZCE: Tensor, mask: Tensor | None) -> Tensor:
    both_PZSE = torch.cat([near_BHZCE, own_BHZCE], dim=3).flatten(0, 1)
    k_PZSK, v_PZSK = both_PZSE.chunk(2, dim=-1)
    out_PZCK = scaled_dot_product_attention(q_BHZCK.flatten(0, 1), k_PZSK, v_PZSK, attn_mask=mask)
    return out_PZCK.view_as(q_BHZCK).flatten(2, 3)


def _sums(both_BHZCE: Tensor) -> Tensor:
    return _wide(both_BHZCE).sum(3)


def _wide(x: Tensor) -> Tensor:
    """In float32 at least, as sorting needs."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
