"""Mixtures of experts: who goes where, and the products of those who went.

Pairs of a token and an expert are sorted by expert, and each expert takes the first ones into a
buffer of fixed room: no shape depends on the data, and no (tokens, experts, room) tensor exists.
Letters: G groups, P pairs of a token and a choice, C choices, E experts, R room, N tokens of all
sequences, M rows of an expert's buffer, F hidden units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, relu

from effattn_cli.attention import FeedForward, Unsupported, Usage

LEAST_ROOM = 4  # tokens that an expert takes from a group, at least; the authors' number
FEW = 3  # an expert read for one pair alone costs as much as so many in a batch of products


@dataclass(frozen=True)
class Seats:
    """Row m of an expert's buffer holds the token `token_EM`, or nobody: then its gate is 0."""

    token_EM: Tensor  # in all sequences, one after the other
    gate_EM: Tensor
    wanted_GE: Tensor  # pairs of a group that chose the expert, whether it had room or not


def seated(chosen_BCT: Tensor, gate_BCT: Tensor, *, experts: int, group: int, room: int) -> Seats:
    """First come, first served in each group of `group` tokens; first choices before second ones.

    A choice of `experts`, one above the last, is none.
    """
    B, C, T = chosen_BCT.shape
    more = -T % group
    count = B * (T + more) // group
    chosen_GP = _grouped(pad(chosen_BCT, (0, more), value=experts), group)
    gate_GP = _grouped(pad(gate_BCT, (0, more)), group)
    sorted_GP, pair_GP = chosen_GP.sort(stable=True)
    edges_E = torch.arange(experts + 1, device=chosen_GP.device)
    edge_GE = torch.searchsorted(sorted_GP, edges_E.expand(count, -1).contiguous())
    row_GER = edge_GE[:, :-1, None] + torch.arange(room, device=chosen_GP.device)
    held_GER = row_GER < edge_GE[:, 1:, None]
    row_GP = row_GER.flatten(1).clamp_(max=C * group - 1)  # an empty row takes a neighbour's token
    pair_GER = pair_GP.gather(1, row_GP).view_as(held_GER)
    gate_GER = gate_GP.gather(1, pair_GER.flatten(1)).view_as(held_GER) * held_GER
    # Groups follow one another in the padded sequences.
    place_G = torch.arange(count, device=chosen_GP.device) * group
    place_GER = place_G[:, None, None] + pair_GER % group
    token_GER = place_GER - place_GER // (T + more) * more if more else place_GER
    token_GER = token_GER.clamp(max=B * T - 1)
    return Seats(
        token_GER.transpose(0, 1).flatten(1),
        gate_GER.transpose(0, 1).flatten(1),
        edge_GE.diff(dim=1),
    )


def _grouped(x_BCT: Tensor, group: int) -> Tensor:
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

    def forward(self, x_EMD: Tensor) -> Tensor:
        """Each expert's rows through it: one batch of products."""
        return self._through(x_EMD, slice(None))

    def some(self, x_PD: Tensor, expert_P: Tensor) -> Tensor:
        """Row p through the expert p: reads the weights of these experts only."""
        return self._through(x_PD.unsqueeze(1), expert_P).squeeze(1)

    def _through(self, x_EMD: Tensor, which: Tensor | slice) -> Tensor:
        h_EMF = torch.bmm(x_EMD, self.up_EDF[which])
        if self.gated:
            linear_EMF, gate_EMF = h_EMF.chunk(2, dim=-1)
            h_EMF = gelu(gate_EMF) * linear_EMF * self.scale_EF[which].unsqueeze(1)
        else:
            h_EMF = relu(h_EMF)
        return torch.bmm(h_EMF, self.down_EFD[which])


def _uniform(experts: int, wide: int, out: int) -> nn.Parameter:
    """As nn.Linear begins."""
    return nn.Parameter(torch.empty(experts, wide, out).uniform_(-1, 1) * wide**-0.5)


class Mixture(FeedForward):
    """Sends each token through one or two of E experts and weighs what they give.

    The router's softmax is in float32 at least. One choice is weighed by its probability, two by
    theirs over the sum of both. A choice that finds its expert full adds nothing.
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
        """What the variants differ in.

        `shares` are the room of an expert over the group's tokens / E, in training and otherwise.
        A `group` of tokens shares this room; None stands for a sequence. In training the router
        sees inputs up to a share of `jitter` larger or smaller, and a second choice is always made
        only if it weighs `sure` or more, else in proportion.
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

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> Tensor:
        B, T, D = x_BTD.shape
        chosen_BCT, gate_BCT = self._choose(x_BTD, real_BT)
        group, room = self._room(T)
        if room == group and FEW * chosen_BCT.numel() <= self.number:  # none is left out
            x_BCTD = x_BTD.unsqueeze(1).expand(-1, self.choices, -1, -1)
            taken_P = chosen_BCT.flatten().clamp(max=self.number - 1)
            y_BCTD = self.experts.some(x_BCTD.reshape(-1, D), taken_P).view_as(x_BCTD)
            return (y_BCTD * gate_BCT.unsqueeze(-1).to(x_BTD.dtype)).sum(1)
        seats = seated(chosen_BCT, gate_BCT, experts=self.number, group=group, room=room)
        token_N = seats.token_EM.flatten()
        x_ND = x_BTD.reshape(B * T, D)
        y_EMD = self.experts(x_ND.index_select(0, token_N).view(self.number, -1, D))
        y_EMD = y_EMD * seats.gate_EM.unsqueeze(-1).to(x_BTD.dtype)
        y_ND = torch.zeros_like(x_ND).index_add_(0, token_N, y_EMD.flatten(0, 1))
        return y_ND.view(B, T, D)

    def _choose(self, x_BTD: Tensor, real_BT: Tensor | None) -> tuple[Tensor, Tensor]:
        """Experts in the order of choice, E for none, and the weights of what they will give."""
        dtype = torch.promote_types(x_BTD.dtype, torch.float32)
        x_BTD = x_BTD.to(dtype)
        if self.training and self.jitter:
            x_BTD = x_BTD * torch.empty_like(x_BTD).uniform_(1 - self.jitter, 1 + self.jitter)
        probability_BTE = (x_BTD @ self.router_DE.to(dtype)).softmax(-1)
        gate_BTC, chosen_BTC = probability_BTE.topk(self.choices)
        gate_BCT, chosen_BCT = gate_BTC.mT.contiguous(), chosen_BTC.mT.contiguous()
        if self.choices > 1:
            gate_BCT = gate_BCT / gate_BCT.sum(1, keepdim=True)
            if self.training:  # the first choice weighs a half at least, so it is always made
                left = torch.rand_like(gate_BCT) * self.sure >= gate_BCT
                chosen_BCT = chosen_BCT.masked_fill(left, self.number)
        if real_BT is not None:
            chosen_BCT = chosen_BCT.masked_fill(~real_BT.unsqueeze(1), self.number)
        return chosen_BCT, gate_BCT * (chosen_BCT < self.number)

    def _room(self, tokens: int) -> tuple[int, int]:
        """Tokens of a group, and how many of them an expert takes."""
        group = min(self.group or tokens, tokens)
        share = self.shares[0 if self.training else 1]
        return group, min(group, max(LEAST_ROOM, int(group * share / self.number)))

    @torch.no_grad()
    def usage(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> Usage:
        group, room = self._room(x_BTD.shape[1])
        choices = self._choose(x_BTD, real_BT)
        wanted_GE = seated(*choices, experts=self.number, group=group, room=room).wanted_GE
        wanted_E, made = wanted_GE.sum(0), int(wanted_GE.sum())
        each = sum(weight.numel() for weight in self.experts.parameters())
        router = self.router_DE.numel()
        return Usage(
            total_parameters=router + each,
            active_parameters=router + each * self.choices // self.number,
            dropped=1 - int(wanted_GE.clamp(max=room).sum()) / made,
            load=int(wanted_E.max()) * self.number / made,
        )
