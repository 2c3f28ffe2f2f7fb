"""A layer with one row per token, key and value of all heads, and entries that pool many tokens.

W tokens of the window, R tokens of an entry, Z entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from effattn_cli.attention import Decodable, Unsupported
from effattn_cli.parts.compression import Compressor, Entries, turned_last
from effattn_cli.parts.gathered import gathered
from effattn_cli.parts.precision import wide
from effattn_cli.parts.rotary import angles


@dataclass(frozen=True)
class Recent:
    """Decoding state: the rows of the last W tokens, as a ring buffer, and the entries so far; if
    only some entries are selected, also those of the indexer.
    """

    ring_BWK: Tensor
    length: int
    entries: Entries
    index: Entries | None = None

    def append(self, row_BK: Tensor) -> "Recent":
        self.ring_BWK[:, self.length % self.ring_BWK.shape[1]] = row_BK
        return replace(self, length=self.length + 1)

    @property
    def near(self) -> Tensor:
        """The rows that are filled, (B, S, K)."""
        return self.ring_BWK[:, : self.length]


class SharedKeyValue(Decodable[Recent]):
    """Projections, positions and output of a layer whose tokens have one row for all heads.

    q is divided by its root mean square in each head, the row has an RMSNorm with a weight, and the
    last dimensions of both are rotated by their position. The output, a mixture of rows since these
    are values too, is rotated back by the position of its query. A variant defines what entries are
    made of, and how it attends.
    """

    cos_TR: Tensor
    sin_TR: Tensor
    series: ClassVar[int] = 1  # series per token that entries pool
    queries: ClassVar[tuple[str, ...]] = ("q",)  # inputs that share a low-rank projection

    @dataclass(frozen=True, kw_only=True)
    class Config(Decodable.Config):
        window: int = 128
        """The last tokens, which a query sees each by itself."""
        ratio: int = 128
        """Tokens that an entry stands for."""
        rope: int | None = None
        """How many numbers of a row are rotated by its position, the last ones; an eighth unless
        given, as 64 of 512 in DeepSeek-V4."""
        rotary_base: float = 160_000.0
        """The angles go from 1 down to about 1 / base."""
        query_rank: int = 0
        """Rank of the queries' projections, 1024 in DeepSeek-V4-Flash; 0 for none."""
        out_groups: int = 0
        """Groups of heads that are projected each by itself before the output mixes them, 8 in
        DeepSeek-V4-Flash; 0 for one projection."""
        out_rank: int | None = None
        """What a group is projected to; a quarter of its width unless given, as 1024 of 4096 in
        DeepSeek-V4."""

    config: Config

    def __init__(self, config: Config) -> None:
        minimum = dict.fromkeys(("window", "ratio", "out_rank"), 1)
        minimum |= dict.fromkeys(("rope", "query_rank", "out_groups"), 0)
        for name, least_number in minimum.items():
            number = getattr(config, name)
            if number is not None and number < least_number:
                raise Unsupported(f"{name} {number} is below {least_number}")
        groups, width = config.out_groups, config.head_width
        if groups and config.heads % groups:
            raise Unsupported(f"out_groups {groups} is no divisor of {config.heads} heads")
        rope = width // 16 * 2 if config.rope is None else config.rope
        if rope % 2 or rope > width:
            raise Unsupported(f"rope {rope} is odd, or more than a head's {width} numbers")
        if config.rotary_base <= 1:
            raise Unsupported(f"rotary_base {config.rotary_base} is not above 1")
        self.window, self.ratio = config.window, config.ratio
        self.entry_width = self.series * width
        super().__init__(config)
        self.period, self.horizon = self.ratio, self.window + self.ratio
        self.compressor = Compressor(width, self.ratio, series=self.series)
        self.norm = None if config.core else nn.RMSNorm(width, eps=1e-6)
        self.sink_H = nn.Parameter(torch.randn(self.heads))
        cos_TR, sin_TR = angles(config.tokens, rope, config.rotary_base)
        self.register_buffer("cos_TR", cos_TR, persistent=False)
        self.register_buffer("sin_TR", sin_TR, persistent=False)

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        made, rank = super().make_projections(dim), self.config.query_rank
        if rank:
            made["latent"] = nn.Sequential(
                nn.Linear(dim, rank, bias=False), nn.RMSNorm(rank, eps=1e-6)
            )
            for name in self.queries:
                made[name] = nn.Linear(rank, self.inputs[name].numbers(self), bias=False)
        groups = self.config.out_groups
        if groups:
            width = self.heads * self.head_dim // groups
            out_rank = self.config.out_rank or max(1, width // 4)
            made["out"] = GroupedOutput(groups, width, out_rank, dim)
        return made

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._made(x_BTD, slice(0, x_BTD.shape[1]))

    def project_step(self, x_BD: Tensor, state: Recent) -> tuple[tuple[Tensor, ...], Recent]:
        given = self._made(x_BD.unsqueeze(1), slice(state.length, state.length + 1))
        pairs = zip(self.inputs.values(), given, strict=True)
        return tuple(spec.of_token(x) for spec, x in pairs), state

    def _made(self, x_BTD: Tensor, at: slice) -> tuple[Tensor, ...]:
        """The inputs of the tokens at these positions."""
        of_BTE = self.projections["latent"](x_BTD) if self.config.query_rank else x_BTD
        from_x = [name for name in self.inputs if name not in self.queries]
        made = {name: self.split(name, self.projections[name](x_BTD)) for name in from_x}
        assert self.norm is not None
        made["kv"] = self.turned(self.norm(made["kv"]), at)
        for name in self.queries:
            y_BTHK = self.split(name, self.projections[name](of_BTE)).transpose(1, 2)
            if name == "q":
                y_BTHK = rms_norm(y_BTHK, y_BTHK.shape[-1:], eps=1e-6)
            made[name] = self.turned(y_BTHK, at).transpose(1, 2)
        return tuple(made[name] for name in self.inputs)

    def turned(self, x: Tensor, at: slice, *, back: bool = False) -> Tensor:
        """Rotates rows by these positions, (B, T, K) or (B, T, H, K)."""
        cos, sin = self.cos_TR[at], self.sin_TR[at]
        if x.ndim == 4:
            cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        return turned_last(x, cos, -sin if back else sin)

    def entries(self, compressor: Compressor, x_BTE: Tensor, gate_BTE: Tensor) -> Tensor:
        """(B, Z, K), each rotated by the position of its window's first token."""
        entry_BZK = compressor(x_BTE, gate_BTE)
        return self.turned(entry_BZK, slice(0, entry_BZK.shape[1] * self.ratio, self.ratio))

    def take_up(
        self, compressor: Compressor, entries: Entries, x_BE: Tensor, gate_BE: Tensor, position: int
    ) -> Tensor:
        """Adds the token at this position; the entries (B, Z, K) that its query then sees."""
        entry_BK = compressor.step(entries, x_BE, gate_BE, position)
        seen = (position + 1) // self.ratio
        if entry_BK is not None:
            first = (seen - 1) * self.ratio
            turned_BxK = self.turned(entry_BK.unsqueeze(1), slice(first, first + 1))
            entries.row_BZK[:, seen - 1] = turned_BxK.squeeze(1)
        return entries.row_BZK[:, :seen]

    def init_state(self, batch: int, context: int) -> Recent:
        ring_BWK = self.blank(batch, self.window, self.head_dim, random=True)
        return Recent(ring_BWK, context, Entries.init(self, self.compressor, batch, context))

    def from_rows(self, q_BHK: Tensor, rows: Sequence[Tensor], position: int) -> Tensor:
        """The output for a query at this position over all of the rows, rotated back."""
        y_BxHK = one_softmax(q_BHK, rows, self.sink_H).unsqueeze(1)
        return self.turned(y_BxHK, slice(position, position + 1), back=True).squeeze(1)


class GroupedOutput(nn.Module):
    """Projects each group of heads to a smaller width, and all groups together to the output."""

    def __init__(self, groups: int, width: int, rank: int, dim: int) -> None:
        super().__init__()
        self.weight_GER = nn.Parameter(torch.randn(groups, width, rank) * width**-0.5)
        self.mix = nn.Linear(groups * rank, dim, bias=False)

    def forward(self, y_BTE: Tensor) -> Tensor:
        y_GBTE = y_BTE.unflatten(2, (len(self.weight_GER), -1)).movedim(2, 0)
        y_GBTR = (y_GBTE.flatten(1, 2) @ self.weight_GER).view(*y_GBTE.shape[:3], -1)
        return self.mix(y_GBTR.movedim(0, 2).flatten(2))


def one_softmax(q_BHK: Tensor, rows: Sequence[Tensor], sink_H: Tensor) -> Tensor:
    """Attention of one query per head over several sets of shared rows, and a sink."""
    scaled_BHK = q_BHK * q_BHK.shape[-1] ** -0.5
    logits = [wide(scaled_BHK @ row_BSK.mT) for row_BSK in rows]
    sink_BH1 = sink_H.to(logits[0].dtype)[:, None].expand(len(q_BHK), -1, -1)
    weight_BHS = torch.cat([*logits, sink_BH1], dim=-1).softmax(-1).to(q_BHK.dtype)
    sizes = [row_BSK.shape[1] for row_BSK in rows]
    weights = weight_BHS[..., :-1].split(sizes, dim=-1)
    pairs = zip(weights, rows, strict=True)
    return torch.stack([weight @ row_BSK for weight, row_BSK in pairs]).sum(0)


def near_and_chosen(
    q_BHTK: Tensor,
    row_BRK: Tensor,
    entry_BZK: Tensor,
    choice_BTN: Tensor,
    *,
    window: int,
    sink_H: Tensor,
) -> Tensor:
    """softmax(q k^T / sqrt K, sink) k over the W rows up to the query and its selected entries,
    (B, T, H, K). The queries belong to the last rows; a sink has the value 0.
    """
    R, T = row_BRK.shape[1], q_BHTK.shape[2]
    position_T1 = torch.arange(R - T, R, dtype=torch.int32, device=choice_BTN.device)[:, None]
    near_TW = position_T1 - torch.arange(window, dtype=torch.int32, device=position_T1.device)
    near_BTW = near_TW.clamp(min=-1).expand(len(choice_BTN), -1, -1)
    position_BTP = torch.cat([near_BTW, choice_BTN + R], dim=2)
    rows, few = [torch.cat([row_BRK, entry_BZK], dim=1).unsqueeze(1)], window > R - T + 1
    scale = q_BHTK.shape[3] ** -0.5
    return gathered(q_BHTK, rows, position_BTP, scale, sink_H, some=few).transpose(1, 2)
