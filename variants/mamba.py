"""Mamba: a selective state-space model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from effattn_cli.attention import Card, Input, Unsupported, step_size
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Convolved, Memory, step_biases
from effattn_cli.parts.selective_scan import selective_scan, selective_step


@final
class Mamba(Convolved):
    """Each channel has its own state, which decays and takes up input as the token decides.

    h_t = e^(dt_t A) h_(t-1) + dt_t x_t B_t, y_t = C_t h_t + E x_t and out = y silu(z), with A < 0
    and 16 state dimensions h per channel; x has passed a short convolution and SiLU, (r, B, C) = x
    W and dt = softplus(r W' + c) in each channel (Mamba, Gu & Dao 2023, arXiv:2312.00752).
    """

    card = Card(
        title="Mamba",
        families=("linear",),
        paper="arXiv:2312.00752",
        year=2023,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("Falcon-Mamba", "Jamba", "Zamba"),
        aliases=("s6", "mamba-1", "selective-ssm"),
        notes=(
            "heads times head_dim are the channels: in Mamba models twice dim, here what is asked"
            " for; else heads mean nothing",
            "the gate and the direct path E belong to the core",
        ),
    )
    inputs: ClassVar = {
        "x": Input(None, "channels"),
        "dt": Input(None, "channels", sample=step_size),
        "B": Input(None, "state"),
        "C": Input(None, "state"),
        "z": Input(None, "channels"),
    }
    projects = ("x", "z")
    convolved = ("x",)
    convolution_bias = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Convolved.Config):
        state: int = 16
        """Numbers in a channel's state."""
        dt_rank: int | None = None
        """Numbers by way of which dt is made; a sixteenth of dim, unless given."""
        normed: bool = False
        """Whether r, B and C are divided by their root mean square, as in Falcon-Mamba and, with
        the weights learned, in Jamba."""

    def __init__(self, config: Config) -> None:
        self.rank = math.ceil(config.dim / 16) if config.dt_rank is None else config.dt_rank
        for name, minimum in (("state", config.state), ("dt_rank", self.rank)):
            if minimum < 1:
                raise Unsupported(f"{name} {minimum} is below 1")
        self.state, self.normed = config.state, config.normed
        self.channels = config.heads * config.head_width
        super().__init__(config)
        starts_N = torch.arange(1, self.state + 1).log()
        self.log_rate_ND = nn.Parameter(starts_N[:, None].repeat(1, self.channels))
        self.direct_D = nn.Parameter(torch.ones(self.channels))

    def make_projections(self, dim: int) -> dict[str, nn.Module]:
        made, widths = super().make_projections(dim), (self.rank, self.state, self.state)
        made["select"] = nn.Linear(self.channels, sum(widths), bias=False)
        step = nn.Linear(self.rank, self.channels)
        step.weight.data.uniform_(-(self.rank**-0.5), self.rank**-0.5)
        step.bias.data.copy_(step_biases(self.channels))
        made["dt"] = step
        if self.normed:
            made["norms"] = nn.ModuleList(nn.RMSNorm(width, eps=1e-6) for width in widths)
        return made

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return 1, self.state, self.channels

    def derived(self, made: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        widths = [self.rank, self.state, self.state]
        parts = list(self.projections["select"](made["x"]).split(widths, dim=-1))
        if self.normed:
            norms: nn.ModuleList = self.projections["norms"]  # type: ignore[assignment]
            parts = [norm(part) for norm, part in zip(norms, parts, strict=True)]
        r_BTR, B_BTN, C_BTN = parts
        dt_BTD = softplus(wide(self.projections["dt"](r_BTR)))
        return {**made, "dt": dt_BTD, "B": B_BTN, "C": C_BTN}

    def attend(
        self,
        x_BTD: Tensor,
        dt_BTD: Tensor,
        B_BTN: Tensor,
        C_BTN: Tensor,
        z_BTD: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        y_BTD = selective_scan(x_BTD, dt_BTD, self._rates, B_BTN, C_BTN)
        y_BTD = torch.addcmul(y_BTD, x_BTD, self.direct_D) * silu(z_BTD)
        return y_BTD.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def step(
        self,
        x_BD: Tensor,
        dt_BD: Tensor,
        B_BN: Tensor,
        C_BN: Tensor,
        z_BD: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        matrix_BND = state.matrix_BHKV.squeeze(1)
        y_BD, matrix_BND = selective_step(x_BD, dt_BD, self._rates, B_BN, C_BN, matrix_BND)
        y_BD = torch.addcmul(y_BD, x_BD, self.direct_D) * silu(z_BD)
        return y_BD.unflatten(1, (self.heads, -1)), state.after(matrix_BND.unsqueeze(1))

    @property
    def _rates(self) -> Tensor:
        """A, which is negative."""
        return -wide(self.log_rate_ND).exp()
