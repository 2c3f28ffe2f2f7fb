"""Mixtures of experts: routing, and the products of the routed tokens.

Pairs of a token and an expert are sorted by expert and multiplied by its weights, in as many rows
as there are pairs or seats, whichever are fewer: no shape depends on the data, no row is computed
for an empty seat, and no (tokens, experts, capacity) tensor exists. Letters: G groups, P pairs of a
group, C choices, E experts, R rows, N tokens of all sequences, F hidden units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, relu

from effattn_cli.attention import FeedForward, Unsupported, Usage
from effattn_cli.parts.grouped import grouped

LEAST_ROOM = 4  # minimum capacity of an expert per group; the authors' number


@dataclass(frozen=True)
class Seats:
    """The pairs that got a seat, sorted by expert; the rows after them are unused."""

    token_R: Tensor  # index among the tokens of all sequences
    gate_R: Tensor  # weight of the expert's output for the token, 0 in unused rows
    end_E: Tensor  # the row after the expert's last
    wanted_GE: Tensor  # pairs of a group that chose the expert, even beyond its capacity


def seated(chosen_BCT: Tensor, gate_BCT: Tensor, *, experts: int, group: int, room: int) -> Seats:
    """First come, first served in each group of `group` tokens; first choices before second ones.

    A choice equal to `experts` means none.
    """
    B, C, T = chosen_BCT.shape
    more = -T % group
    pairs = C * B * (T + more)
    chosen_GP = _in_groups(pad(chosen_BCT, (0, more), value=experts), group)
    expert_GP, pair_GP = chosen_GP.sort(stable=True)
    number_E = torch.arange(experts + 1, device=chosen_GP.device)
    start_GE = torch.searchsorted(expert_GP, number_E.expand(len(expert_GP), -1).contiguous())
    wanted_GE = start_GE.diff(dim=1)
    held_EG = wanted_GE.mT.clamp(max=room)
    end_EG = held_EG.flatten().cumsum(0).view_as(held_EG)
    # The row of the pair that is number `rank` for its expert, among all groups' pairs.
    rank_GP = torch.arange(C * group, device=chosen_GP.device) - start_GE.gather(1, expert_GP)
    seated_GP = (expert_GP < experts) & (rank_GP < room)
    row_GP = (end_EG - held_EG).mT.gather(1, expert_GP.clamp(max=experts - 1)) + rank_GP
    row_GP = torch.where(seated_GP, row_GP, pairs)
    # The index of the pair in (C, B T), without the padding of the groups.
    group_G1 = torch.arange(len(pair_GP), device=pair_GP.device).unsqueeze(1)
    position_GP = group_G1 * group + pair_GP % group
    position_GP = position_GP - position_GP // (T + more) * more + pair_GP // group * (B * T)
    position_R = position_GP.new_zeros(pairs + 1).scatter_(
        0, row_GP.flatten(), position_GP.flatten()
    )
    position_R = position_R[: min(pairs, wanted_GE.numel() * room)]
    busy_R = torch.arange(len(position_R), device=position_R.device) < end_EG[-1, -1]
    gate_R = gate_BCT.transpose(0, 1).flatten()[position_R] * busy_R
    return Seats(position_R % (B * T), gate_R, end_EG[:, -1].contiguous(), wanted_GE)


def _in_groups(x_BCT: Tensor, group: int) -> Tensor:
    """(G, P): the pairs of a group, first choices first."""
    B, C, _ = x_BCT.shape
    return x_BCT.view(B, C, -1, group).transpose(1, 2).reshape(-1, C * group)


class Experts(nn.Module):
    """E feed-forwards without biases: relu(x W1) W2, or with GEGLU (gelu(x V) * x W1 * s) W2."""

    def __init__(self, experts: int, dim: int, hidden: int, *, gated: bool = False) -> None:
        super().__init__()
        self.gated = gated
        self.up_EDF = _uniform(experts, dim, hidden * (2 if gated else 1))
        self.down_EFD = _uniform(experts, hidden, dim)
        if gated:
            self.scale_EF = nn.Parameter(torch.ones(experts, hidden))

    def forward(self, x_RD: Tensor, end_E: Tensor) -> Tensor:
        """Expert e has the rows from end[e - 1] up to end[e]."""
        h_RF = grouped(x_RD, self.up_EDF, end_E)
        if self.gated:
            linear_RF, gate_RF = h_RF.chunk(2, dim=-1)
            row_R = torch.arange(len(x_RD), device=x_RD.device)
            expert_R = torch.searchsorted(end_E, row_R, right=True).clamp_(max=len(end_E) - 1)
            h_RF = gelu(gate_RF) * linear_RF * self.scale_EF.index_select(0, expert_R)
        else:
            h_RF = relu(h_RF)
        return grouped(h_RF, self.down_EFD, end_E)


def _uniform(experts: int, wide: int, out: int) -> nn.Parameter:
    """Initialised like nn.Linear."""
    return nn.Parameter(torch.empty(experts, wide, out).uniform_(-1, 1) * wide**-0.5)


class Mixture(FeedForward):
    """Routes each token to one or two of E experts and weights their outputs.

    The router's softmax is in at least float32. A single choice is weighted by its probability, two
    by theirs normalised to sum to 1. A choice whose expert is full adds nothing.
    """

    def __init__(
        self,
        config: FeedForward.Config,
        experts: Experts,
        *,
        choices: int,
        shares: tuple[float, float],
        group: int | None = None,
        jitter: float = 0.0,
        sure: float = 0.5,
    ) -> None:
        """The options in which the variants differ.

        `shares` are the capacity factors, over the group's tokens / E, in training and otherwise.
        The tokens of a `group` share an expert's capacity; None makes each sequence a group. In
        training, router inputs are scaled by a random factor within 1 +- `jitter`, and a second
        choice is always used only if its weight is `sure` or more, otherwise with a proportional
        probability.
        """
        super().__init__(config)
        self.experts, self.choices, self.shares = experts, choices, shares
        self.group, self.jitter, self.sure = group, jitter, sure
        self.number = experts.up_EDF.shape[0]
        if self.number < choices:
            raise Unsupported(f"experts {self.number} is below {choices}")
        if min(shares) <= 0:
            raise Unsupported(f"a capacity of {min(shares)} is not above 0")
        if group is not None and group < 1:
            raise Unsupported(f"group {group} is below 1")
        self.router_DE = nn.Parameter(torch.randn(config.dim, self.number) * config.dim**-0.5)

    def forward(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        x_ND = x_BTD.flatten(0, 1)
        seats = self._seats(x_BTD, valid_BT)
        y_RD = self.experts(x_ND.index_select(0, seats.token_R), seats.end_E)
        y_RD = y_RD * seats.gate_R.unsqueeze(-1).to(x_BTD.dtype)
        return torch.zeros_like(x_ND).index_add_(0, seats.token_R, y_RD).view_as(x_BTD)

    def _seats(self, x_BTD: Tensor, valid_BT: Tensor | None) -> Seats:
        group, room = self._room(x_BTD.shape[1])
        choices = self._choose(x_BTD, valid_BT)
        return seated(*choices, experts=self.number, group=group, room=room)

    def _choose(self, x_BTD: Tensor, valid_BT: Tensor | None) -> tuple[Tensor, Tensor]:
        """Experts in order of choice, E for none, and the weights of their outputs."""
        dtype = torch.promote_types(x_BTD.dtype, torch.float32)
        x_BTD = x_BTD.to(dtype)
        if self.training and self.jitter:
            x_BTD = x_BTD * torch.empty_like(x_BTD).uniform_(1 - self.jitter, 1 + self.jitter)
        probability_BTE = (x_BTD @ self.router_DE.to(dtype)).softmax(-1)
        gate_BTC, chosen_BTC = probability_BTE.topk(self.choices)
        gate_BCT, chosen_BCT = gate_BTC.mT.contiguous(), chosen_BTC.mT.contiguous()
        if self.choices > 1:
            gate_BCT = gate_BCT / gate_BCT.sum(1, keepdim=True)
            if self.training:  # the first choice weighs at least a half, so it is always used
                left = torch.rand_like(gate_BCT) * self.sure >= gate_BCT
                chosen_BCT = chosen_BCT.masked_fill(left, self.number)
        if valid_BT is not None:
            chosen_BCT = chosen_BCT.masked_fill(~valid_BT.unsqueeze(1), self.number)
        return chosen_BCT, gate_BCT

    def _room(self, tokens: int) -> tuple[int, int]:
        """Tokens of a group, and an expert's capacity in it."""
        group = min(self.group or tokens, tokens)
        share = self.shares[0 if self.training else 1]
        return group, min(group, max(LEAST_ROOM, int(group * share / self.number)))

    @torch.no_grad()
    def usage(self, x_BTD: Tensor, valid_BT: Tensor | None = None) -> Usage:
        seats = self._seats(x_BTD, valid_BT)
        wanted_E = seats.wanted_GE.sum(0)
        wanted = int(wanted_E.sum())
        made = max(1, wanted)  # no choices at all if everything is padding
        per_expert = sum(weight.numel() for weight in self.experts.parameters())
        router = self.router_DE.numel()
        return Usage(
            total_parameters=router + per_expert,
            active_parameters=router + per_expert * self.choices // self.number,
            dropped=(wanted - int(seats.end_E[-1])) / made,
            load=int(wanted_E.max()) * self.number / made,
        )
