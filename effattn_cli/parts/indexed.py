"""A cheap index that selects the few tokens, or blocks of tokens, to which a query attends.

Scores are computed for some queries at a time, and only the positions of the highest are stored.

P positions of a query. I heads of the index, W their width, with one key shared by all. Z blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.attention import Decodable
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rotary import Rotary, angles, turned
from effattn_cli.parts.rows import rows_at_once
from effattn_cli.parts.selected import BlockCache

BELOW = 2.0**-50  # a score is reduced by this fraction per position, to break ties
NOTHING = 1e-36  # minimum magnitude for that, so that zeros differ too; float32 can represent it


class Unlearned(nn.Linear):
    """A linear map of an index, whose weight is a buffer.

    Its output only ranks keys, and ranks have no gradient. Models train an index with a separate
    loss, the divergence from dense attention, and detach it from the task's loss.
    """

    def __init__(self, dim: int, out: int) -> None:
        super().__init__(dim, out, bias=False)
        as_buffers(self)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


def as_buffers(module: nn.Module) -> None:
    """Turns the parameters into buffers, which are saved as before."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, weight.detach())


def with_index(made: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """The projections, with those of an index (named `index...`) not trained."""
    linear = {name: part for name, part in made.items() if name.startswith("index")}
    return made | {
        name: Unlearned(part.in_features, part.out_features)
        for name, part in linear.items()
        if isinstance(part, nn.Linear)
    }


class Indexed(Rotary):
    """A variant with inputs for an index, named `index...`, whose projections are not trained.

    A variant sets `index_turned`, how many dimensions of the index are rotated by their position,
    before it calls the base class's constructor.
    """

    kv_share = 4
    index_turned: int
    index_cos_TR: Tensor
    index_sin_TR: Tensor

    def __init__(self, config: Rotary.Config) -> None:
        super().__init__(config)
        shape = config.tokens, self.index_turned, config.rotary_base
        for name, table_TR in zip(("cos", "sin"), angles(*shape), strict=True):
            self.register_buffer(f"index_{name}_TR", table_TR, persistent=False)

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        return with_index(super().make_projections(dim))

    def parted(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The inputs that are attended to, and those of the index, which come last."""
        number = sum(not name.startswith("index") for name in self.inputs)
        return inputs[:number], inputs[number:]

    def turn_index(self, x: Tensor, first: int, step: int = 1) -> Tensor:
        """Rotates (..., T, W), the rows of every `step`-th token from position `first` on."""
        if not self.index_turned:
            return x
        at = slice(first, first + (x.shape[-2] - 1) * step + 1, step)
        return turned(x, self.index_cos_TR[at], self.index_sin_TR[at])


def highest(score_xS: Tensor, count: int) -> Tensor:
    """The positions of the highest scores, in no particular order; ties go to the first.

    Each score is made slightly smaller than an equal one before it. If few of many are wanted, the
    maxima of groups of scores are compared first: the groups with the highest maxima contain all of
    them.
    """
    S = score_xS.shape[-1]
    if not count:
        return score_xS[..., :0].long()
    below_S = torch.arange(1, S + 1, dtype=torch.float64, device=score_xS.device) * BELOW
    key_xS = score_xS.double()
    key_xS = torch.addcmul(key_xS, key_xS.abs().clamp_(min=NOTHING), below_S, value=-1)
    size = int((S / count) ** 0.5)
    if size < 3:
        return key_xS.topk(count, sorted=False).indices
    columns = -(-S // size)
    key_xRC = pad(key_xS, (0, size * columns - S), value=-torch.inf).unflatten(-1, (size, -1))
    best_xP = key_xRC.amax(-2).topk(count, sorted=False).indices
    column_xRP = best_xP.unsqueeze(-2).expand(*best_xP.shape[:-1], size, count)
    found_xP = key_xRC.gather(-1, column_xRP).flatten(-2).topk(count, sorted=False).indices
    return found_xP // count * columns + best_xP.gather(-1, found_xP % count)


@torch.no_grad()
def choose(count: int, q_BITW: Tensor, k_BZW: Tensor, weight_BIT: Tensor, ratio: int = 1) -> Tensor:
    """The keys for which sum_i weight_i relu(q_i k) is highest, (B, T', P).

    Query t sees the keys below (t + 1) // ratio. Only queries that see more than `count` keys are
    included.
    """
    T, chosen = q_BITW.shape[2], []
    q_BTIW, weight_BTI = wide(q_BITW.transpose(1, 2)), wide(weight_BIT.transpose(1, 2))
    k_BZW, step = wide(k_BZW), rows_at_once(q_BITW, k_BZW.shape[1])
    for first in range(ratio * (count + 1) - 1, T, step):
        at = slice(first, min(first + step, T))
        sure, seen = (first + 1) // ratio, at.stop // ratio  # for the first and the last query
        score_BCZ = _scores(q_BTIW[:, at], k_BZW[:, :seen], weight_BTI[:, at])
        seen_C1 = torch.arange(first + 1, at.stop + 1, device=score_BCZ.device)[:, None] // ratio
        later_CZ = torch.arange(sure, seen, device=score_BCZ.device) >= seen_C1
        score_BCZ[..., sure:].masked_fill_(later_CZ, -torch.inf)
        chosen.append(highest(score_BCZ, count).to(torch.int32))
    return torch.cat(chosen, dim=1)


@torch.no_grad()
def choose_now(count: int, q_BIW: Tensor, k_BSW: Tensor, weight_BI: Tensor) -> Tensor:
    """The same for the last token alone, (B, P)."""
    q_BxIW, weight_BxI = wide(q_BIW).unsqueeze(1), wide(weight_BI).unsqueeze(1)
    return highest(_scores(q_BxIW, wide(k_BSW), weight_BxI), count).squeeze(1)


def _scores(q_BTIW: Tensor, k_BSW: Tensor, weight_BTI: Tensor) -> Tensor:
    """(B, T, S). Scaling would not change the selection."""
    each_BTIS = _products(q_BTIW, k_BSW).relu_()
    return (weight_BTI.unsqueeze(2) @ each_BTIS).squeeze(2)


@torch.no_grad()
def choose_blocks(
    score: Callable[[Tensor, int], Tensor], q_BITW: Tensor, *, block: int, count: int
) -> Tensor:
    """The blocks before its own that score highest for each query, (B, G, T, N).

    Queries are those from block `count` + 1 on; earlier ones see everything. `score` takes some of
    them and the number of blocks to score, and returns (B, G, C, Z).
    """
    chosen, device = [], q_BITW.device
    first = (count + 1) * block
    for q_BICW in torch.split(q_BITW, rows_at_once(q_BITW, first + q_BITW.shape[2]), dim=2):
        last = first + q_BICW.shape[2]
        own_C1 = torch.arange(first, last, device=device)[:, None] // block
        before = (last - 1) // block
        later_CZ = torch.arange(before, device=device) >= own_C1
        score_BGCZ = score(q_BICW, before).masked_fill(later_CZ, -torch.inf)
        chosen.append(highest(score_BGCZ, count))
        first = last
    return torch.cat(chosen, dim=2)


def best_token(key_BSW: Tensor, block: int, q_BITW: Tensor, blocks: int) -> Tensor:
    """The highest score q k within each of the first `blocks` blocks, (B, I, T, Z)."""
    each_BITS = _products(q_BITW, key_BSW[:, : blocks * block])
    return each_BITS.unflatten(3, (-1, block)).amax(4)


def best_mean(mean_BZW: Tensor, q_BITW: Tensor, blocks: int) -> Tensor:
    """sum_i relu(q_i mean) for each of the first `blocks` blocks, shared by all, (B, 1, T, Z)."""
    return _products(q_BITW, mean_BZW[:, :blocks]).relu_().sum(1, keepdim=True)


def _products(q_BITW: Tensor, k_BSW: Tensor) -> Tensor:
    """(B, I, T, S), in at least float32: rounding could change the selection."""
    return (wide(q_BITW).flatten(1, 2) @ wide(k_BSW).mT).unflatten(1, q_BITW.shape[1:3])


@dataclass(frozen=True)
class IndexedBlocks:
    """Decoding state: keys and values in blocks, and the index key of every token."""

    cache: BlockCache
    index_BRW: Tensor

    @property
    def length(self) -> int:
        return self.cache.length

    @classmethod
    def init(cls, layer: Decodable[Any], batch: int, context: int, block: int) -> "IndexedBlocks":
        cache = BlockCache.init(layer, batch, context, block)
        room, (_, width) = cache.k_BGZCK.shape[2] * block, layer.inputs["index_k"].sizes(layer)
        return cls(cache, layer.blank(batch, room, width or 1, random=True))

    def append(self, k_BGK: Tensor, v_BGK: Tensor, index_BW: Tensor) -> "IndexedBlocks":
        self.index_BRW[:, self.length] = index_BW
        return replace(self, cache=self.cache.append(k_BGK, v_BGK))
