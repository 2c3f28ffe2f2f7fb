"""Mamba-3: a state-space model with rotating states and trapezoidal integration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from effattn_cli.attention import Card, Input, Unsupported, decay, gate, step_size
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Recurrent, step_biases
from effattn_cli.parts.trapezoid import LastToken, Times, TrapezoidSpace


@final
class Mamba3(Recurrent):
    """Each head's state decays and rotates, and takes up the inputs of this token and the last.

    S_t = a S_(t-1) + (1 - l) d a B_(t-1) x_(t-1)^T + l d B_t x_t^T and y_t = C_t S_t + E x_t, with
    B and C normalised, shifted by a bias per head and rotated by the sum of d pi tanh(th) so far,
    d = softplus(u W + c), a = exp(-d softplus(u W')), l = sigmoid(u W''), and out = y silu(z). With
    rank R there are R of B, C and x per token (Mamba-3, Lahoti et al. 2026, arXiv:2603.15569).
    """

    card = Card(
        title="Mamba-3",
        families=("linear",),
        paper="arXiv:2603.15569",
        year=2026,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        aliases=("mamba-3",),
        notes=(
            "heads are those of x: in Mamba-3 models heads times head_dim is twice dim, here what"
            " is asked for",
            "the halves of what is turned are pairs, not neighbours: the same up to the order of"
            " channels",
            "the rate is a softplus; the authors' newest code has another function above 0",
            "norms, biases and turns of B and C, gate and the direct path E belong to the core",
        ),
    )
    inputs: ClassVar = {
        "x": Input(),
        "B": Input("groups", "vectors"),
        "C": Input("groups", "vectors"),
        "step": Input(width=None, sample=step_size),
        "decay": Input(width=None, sample=decay),
        "share": Input(width=None, sample=gate),
        "angle": Input(1, "pairs"),
        "z": Input(),
    }

    @dataclass(frozen=True, kw_only=True)
    class Config(Recurrent.Config):
        state: int = 128
        """Numbers in a head's state for each of its channels."""
        groups: int = 1
        """Groups of heads, each with a B and a C of its own."""
        turned: float = 0.5
        """The part of a state that is turned."""
        rank: int = 1
        """How many B, C and x a token has, all of one state; 4 in the models with more inputs."""

    def __init__(self, config: Config) -> None:
        for name in ("groups", "rank"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.heads % config.groups:
            raise Unsupported(f"{config.heads} heads are no multiple of groups {config.groups}")
        if not 0 < config.turned <= 1:
            raise Unsupported(f"turned {config.turned} is not above 0 and at most 1")
        self.pairs = int(config.state * config.turned) // 2
        if self.pairs < 1:
            raise Unsupported(f"state {config.state} has no pair to turn")
        self.state, self.groups, self.rank = config.state, config.groups, config.rank
        self.vectors = self.rank * self.state
        super().__init__(config)
        H, R = self.heads, self.rank
        self.space = TrapezoidSpace(H, R, self.state)
        self.direct_H = nn.Parameter(torch.ones(H))
        self.bias_H = None if config.core else nn.Parameter(step_biases(H))
        if R > 1:  # makes R of x and z each, and one output of the R
            starts_3 = torch.tensor([1 / R, 1, 1 / R]).view(3, 1, 1, 1, 1)
            self.ranks_3HxRP = nn.Parameter(starts_3.repeat(1, H, 1, R, self.head_dim))

    def derived(self, made: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        assert self.bias_H is not None
        step_BTH = softplus(wide(made["step"]) + wide(self.bias_H))
        rate_BTH = softplus(wide(made["decay"])).clamp_min(1e-4)
        share_BTH = torch.sigmoid(wide(made["share"]))
        return {**made, "step": step_BTH, "decay": -rate_BTH * step_BTH, "share": share_BTH}

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return self.heads, self.state, self.head_dim

    def init_state(self, batch: int, context: int) -> LastToken:
        H, random = self.heads, context > 0
        return LastToken(
            super().init_state(batch, context).matrix_BHKV,
            key_BHxRN=self.blank(batch, H, 1, self.rank, self.state, random=random),
            value_BHP=self.blank(batch, H, self.head_dim, random=random),
            turns_BHS=wide(self.blank(batch, H, self.pairs, random=random)),
        )

    def attend(
        self,
        x_BHTP: Tensor,
        B_BGTE: Tensor,
        C_BGTE: Tensor,
        step_BHT: Tensor,
        decay_BHT: Tensor,
        share_BHT: Tensor,
        angle_BxTS: Tensor,
        z_BHTP: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        v_BHTRP = self._values(x_BHTP)
        times = Times(*(wide(x) for x in (step_BHT, share_BHT, decay_BHT, angle_BxTS)))
        return self._finish(self.space(v_BHTRP, B_BGTE, C_BGTE, times), v_BHTRP, z_BHTP)

    def step(self, *given: Any) -> tuple[Tensor, LastToken]:
        *inputs, last = given
        x_BHxP, B_BGxE, C_BGxE, step_BHx, decay_BHx, share_BHx, angle_BxxS, z_BHxP = (
            x.unsqueeze(2) for x in inputs
        )
        times = Times(*(wide(x) for x in (step_BHx, share_BHx, decay_BHx, angle_BxxS)))
        values = self._values(last.value_BHP.unsqueeze(2)), self._values(x_BHxP)
        y_BHxRP, state = self.space.step(values, B_BGxE, C_BGxE, times, last)
        y_BHP = self._finish(y_BHxRP, values[1], z_BHxP).squeeze(2)
        return y_BHP, replace(state, value_BHP=x_BHxP.squeeze(2))

    def _values(self, x_BHTP: Tensor) -> Tensor:
        x_BHTxP = x_BHTP.unsqueeze(3)
        return x_BHTxP if self.rank == 1 else x_BHTxP * self.ranks_3HxRP[0]

    def _finish(self, y_BHTRP: Tensor, v_BHTRP: Tensor, z_BHTP: Tensor) -> Tensor:
        y_BHTRP = torch.addcmul(y_BHTRP, v_BHTRP, self.direct_H.view(-1, 1, 1, 1))
        if self.rank == 1:
            return y_BHTRP.squeeze(3) * silu(z_BHTP)
        _, of_z_HxRP, down_HxRP = self.ranks_3HxRP
        return (y_BHTRP * down_HxRP * silu(z_BHTP.unsqueeze(3) * of_z_HxRP)).sum(3)
