"""The tokens to which a query attends, by an index of tokens or pools, and its decoding state.

P positions of a query, N pools that it picks, R tokens of a pool. G kv heads, E width of a row, W
of an index key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from effattn_cli.attention import Decodable
from effattn_cli.parts.compression import Compressor, Entries
from effattn_cli.parts.indexed import as_buffers, choose, choose_now


@dataclass(frozen=True)
class Past:
    """Decoding state: the rows of all tokens that can be attended to, and the index keys of the
    tokens or of pools of them.

    Room for M tokens, of which the first `length` are filled.
    """

    rows: tuple[Tensor, ...]  # (B, G, M, E) each
    index: Tensor | Entries  # (B, M, W), with W = 0 if the index is another layer's
    length: int

    @classmethod
    def init(
        cls, layer: Decodable[Any], batch: int, context: int, pooler: Compressor | None
    ) -> "Past":
        """`context` random tokens, with room for at least one more, for the inputs of the layer."""
        room = max(layer.config.tokens, context + 1)
        sizes = {name: spec.sizes(layer) for name, spec in layer.inputs.items()}
        rows = [sizes[name] for name in sizes if name != "q" and not name.startswith("index")]
        kept = tuple(layer.blank(batch, G or 1, room, E or 1, random=True) for G, E in rows)
        if pooler is not None:
            return cls(kept, Entries.init(layer, pooler, batch, context), context)
        width = sizes["index_k"][1] if "index_k" in sizes else 0
        return cls(kept, layer.blank(batch, room, width or 0, random=True), context)

    def append(self, rows: Sequence[Tensor]) -> "Past":
        for kept_BGME, row in zip(self.rows, rows, strict=True):
            kept_BGME[:, :, self.length] = row.view_as(kept_BGME[:, :, 0])
        return replace(self, length=self.length + 1)

    def take_up(
        self, pooler: Compressor | None, key_BW: Tensor, gate_BW: Tensor | None = None
    ) -> Tensor:
        """Adds the last token's index key; returns the keys (B, S, W) that the token then sees."""
        position = self.length - 1
        if isinstance(self.index, Tensor):
            self.index[:, position] = key_BW
            return self.index[:, : self.length]
        assert pooler is not None
        assert gate_BW is not None
        seen = self.length // pooler.ratio
        key_of_pool_BW = pooler.step(self.index, key_BW, gate_BW, position)
        if key_of_pool_BW is not None:
            self.index.row_BZK[:, seen - 1] = key_of_pool_BW
        return self.index.row_BZK[:, :seen]

    def read(self, position_BP: Tensor | None) -> list[Tensor]:
        """The rows at these positions, or all of them, (B, G, S, E) each."""
        if position_BP is None:
            return [x_BGME[:, :, : self.length] for x_BGME in self.rows]
        B, G, M, _ = self.rows[0].shape
        first_BGx = torch.arange(0, B * G * M, M, device=position_BP.device).view(B, G, 1)
        row_X = (first_BGx + position_BP.unsqueeze(1)).flatten()
        return [
            x.flatten(0, 2).index_select(0, row_X).view(B, G, -1, x.shape[3]) for x in self.rows
        ]


class TokenIndex(nn.Module):
    """Finds the `top` tokens to which a query attends, in pools with one key each; the tokens after
    the last full pool are always attended to.

    The key of a pool is the mean of its tokens' keys, weighted by a softmax of gates and biases in
    each channel. Without a `width` the index is another layer's; picks that are not given are
    spread evenly.
    """

    def __init__(self, top: int, pool: int, width: int | None) -> None:
        super().__init__()
        self.top, self.pool, self.count = top, pool, top // pool
        self.early = pool * (self.count + 1) - 1  # queries that see everything before them
        self.pooler = None
        if pool > 1 and width is not None:
            self.pooler = Compressor(width, pool, norm=False)
            as_buffers(self.pooler)

    @torch.no_grad()
    def choose(self, q_BHTK: Tensor, *index: Tensor) -> Tensor:
        """Positions (B, T', P) attended to by the queries that do not see everything; -1: none."""
        if index:
            q_BITW, key_BZW, weight_BIT, *gate = index
            key_BZW = key_BZW if self.pooler is None else self.pooler(key_BZW, *gate)
            pick_BTN = choose(self.count, q_BITW, key_BZW, weight_BIT, self.pool)
        else:
            pick_BTN = self._spread(self.early, q_BHTK.shape[2], like=q_BHTK)
        return self._tokens(pick_BTN, self.early)

    def choose_now(self, state: Past, q_BHK: Tensor, *index: Tensor) -> Tensor | None:
        """The positions (B, P) to which the last token attends, or None if it sees everything."""
        last = state.length - 1
        if index:
            q_BIW, key_BW, weight_BI, *gate_BW = index
            key_BZW = state.take_up(self.pooler, key_BW, *gate_BW)
        if last < self.early:
            return None
        if index:
            pick_BN = choose_now(self.count, q_BIW, key_BZW, weight_BI)
        else:
            pick_BN = self._spread(last, last + 1, like=q_BHK).squeeze(1)
        position_BP = self._tokens(pick_BN.unsqueeze(1), last).squeeze(1)
        return position_BP[:, : self.top + state.length % self.pool]  # later slots are empty

    def _spread(self, first: int, tokens: int, like: Tensor) -> Tensor:
        """Pools spread evenly over those that the queries from `first` to before `tokens` see,
        always including the last, (B, T, N).
        """
        device = like.device
        seen_T1 = torch.arange(first + 1, tokens + 1, dtype=torch.int32, device=device)[:, None]
        seen_T1 = seen_T1 // self.pool
        at_N = torch.arange(self.count, dtype=torch.int32, device=device)
        return (seen_T1 - 1 - seen_T1 * at_N // self.count).expand(len(like), -1, -1)

    def _tokens(self, pick_BTN: Tensor, first: int) -> Tensor:
        """The positions of the tokens in these pools, and of those after the last full pool that a
        query from `first` on sees, padded with -1.
        """
        if self.pool == 1:
            return pick_BTN
        device, last = pick_BTN.device, first + pick_BTN.shape[1]
        at_R = torch.arange(self.pool, dtype=torch.int32, device=device)
        chosen_BTS = (pick_BTN.unsqueeze(-1) * self.pool + at_R).flatten(2)
        seen_T1 = torch.arange(first + 1, last + 1, dtype=torch.int32, device=device)[:, None]
        tail_TR = seen_T1 // self.pool * self.pool + at_R[:-1]
        tail_TR = torch.where(tail_TR < seen_T1, tail_TR, -1)
        return torch.cat([chosen_BTS, tail_TR.expand(len(pick_BTN), -1, -1)], dim=2)
