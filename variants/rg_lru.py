"""RG-LRU: a gated linear recurrence per channel, the part of Griffin that is not attention."""

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, softplus

from effattn_cli.attention import Card, Input
from effattn_cli.parts.chunked import CACHED, pieces_pay
from effattn_cli.parts.decay import workable
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Convolved, Memory
from effattn_cli.parts.scan import scan

SHARPEST = 8  # a gate of 1 applies the learned decay this many times


@final
class RGLRU(Convolved):
    """Each channel has a scalar state that decays as the token decides and takes up its input.

    h_t = a_t h_(t-1) + sqrt(1 - a_t^2) (i_t o x_t) and out = h gelu(u W), where x has passed a
    short convolution, a = exp(-8 softplus(L) r), and the gates r = sigmoid(x V + b) and
    i = sigmoid(x V' + b') computed in each head from its own channels (Griffin, De et al. 2024,
    arXiv:2402.19427).
    """

    card = Card(
        title="RG-LRU",
        families=("linear",),
        paper="arXiv:2402.19427",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("RecurrentGemma",),
        aliases=("griffin", "hawk", "recurrent-gemma"),
        notes=(
            "a head is a block of the gates' matrices; heads times head_dim are the channels",
            "the gates and the product with the other branch belong to the core",
            "as in the paper, no token is an exception; in RecurrentGemma the first one is",
        ),
    )
    inputs: ClassVar = {"x": Input(), "branch": Input()}
    convolved = ("x",)
    convolution_bias = True
    convolution_activates = False

    @dataclass(frozen=True, kw_only=True)
    class Config(Convolved.Config):
        whole_first: bool = False
        """Whether the first token is taken up whole, not sqrt(1 - a^2) of it, as in
        RecurrentGemma."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.whole_first = config.whole_first
        H, K = self.heads, self.head_dim
        self.gates_HKE = nn.Parameter(torch.randn(H, K, 2 * K) * K**-0.5)
        self.bias_HxE = nn.Parameter(torch.zeros(H, 1, 2 * K))
        most_HK = -torch.empty(H, K).uniform_(0.9, 0.999).log() / SHARPEST
        self.rate_HK = nn.Parameter(torch.expm1(most_HK).log())

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return self.heads, 1, self.head_dim

    def attend(self, x_BHTK: Tensor, branch_BHTK: Tensor, valid_BT: Tensor | None = None) -> Tensor:
        B, H, T, K = x_BHTK.shape
        tokens = max(64, CACHED // (4 * B * H * K)) if pieces_pay(x_BHTK) else T
        now_BHK, outs = wide(x_BHTK.new_zeros(B, H, K)), list[Tensor]()
        pieces = (torch.split(x.transpose(1, 2), tokens, dim=1) for x in (x_BHTK, branch_BHTK))
        for x_BTHK, branch_BTHK in zip(*pieces, strict=True):
            a_BTHK, new_BTHK = self._terms(x_BTHK, first=self.whole_first and not outs)
            h_BTHK = scan(a_BTHK, new_BTHK, now_BHK)
            now_BHK = h_BTHK[:, -1]
            outs.append(self._finish(h_BTHK, branch_BTHK))
        return torch.cat(outs, dim=1).transpose(1, 2)

    def step(self, x_BHK: Tensor, branch_BHK: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        first = self.whole_first and not state.length
        a_BxHK, new_BxHK = self._terms(x_BHK.unsqueeze(1), first=first)
        h_BxHK = torch.addcmul(new_BxHK, a_BxHK, state.matrix_BHKV.transpose(1, 2))
        state = replace(state.after(h_BxHK.transpose(1, 2)), length=max(1, state.length))
        return self._finish(h_BxHK.squeeze(1), branch_BHK), state

    def _terms(self, x_BTHK: Tensor, *, first: bool) -> tuple[Tensor, Tensor]:
        """a_t, and what is added to a_t h_(t-1); `first`: x starts at the sequence's start."""
        B, T, H, K = x_BTHK.shape
        x_HXK, gates_HKE, bias_HxE = workable(
            x_BTHK.flatten(0, 1).transpose(0, 1), self.gates_HKE, self.bias_HxE
        )
        gates_HXE = torch.baddbmm(bias_HxE, x_HXK, gates_HKE)
        gates_BTHE = wide(gates_HXE.transpose(0, 1).contiguous()).sigmoid().view(B, T, H, 2 * K)
        r_BTHK, i_BTHK = gates_BTHE.split(K, dim=-1)
        fade_BTHK = r_BTHK * (-SHARPEST * softplus(wide(self.rate_HK)))
        # Clamped because the root has no finite slope at 0.
        rest_BTHK = (-torch.expm1(2 * fade_BTHK)).clamp_min(torch.finfo(fade_BTHK.dtype).tiny)
        share_BTHK = rest_BTHK.sqrt()
        if first:
            share_BTHK = torch.cat([torch.ones_like(share_BTHK[:, :1]), share_BTHK[:, 1:]], dim=1)
        return fade_BTHK.exp(), share_BTHK * (i_BTHK * x_BTHK)

    @staticmethod
    def _finish(h: Tensor, branch: Tensor) -> Tensor:
        return h.to(branch.dtype) * gelu(branch, approximate="tanh")
