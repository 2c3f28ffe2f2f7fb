"""Mamba-2: a state-space model with one scalar decay per head."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from effattn_cli.attention import Card, Input, Unsupported, repeat_kv, step_size
from effattn_cli.parts.decay import by_group, decay_scan, decay_step
from effattn_cli.parts.precision import wide
from effattn_cli.parts.recurrent import Convolved, Memory, normed, step_biases


@final
class Mamba2(Convolved):
    """Each head's state decays by a factor that depends on the token, and takes up its input.

    S_t = e^(-dt_t e^A) S_(t-1) + dt_t B_t x_t^T and y_t = C_t S_t + D x_t, where x, B and C have
    passed a short convolution and SiLU, dt = softplus(x' W + c), and out = RMSNorm(y silu(z)),
    normalised over the heads of a group, which share B and C (Transformers are SSMs, Dao & Gu 2024,
    arXiv:2405.21060).
    """

    card = Card(
        title="Mamba-2",
        families=("linear",),
        paper="arXiv:2405.21060",
        year=2024,
        time="N",
        memory="N",
        state="1",
        causal="always",
        kind="own mechanism",
        deployed=("Nemotron-3", "Nemotron-H", "Granite 4", "Bamba", "Zamba2"),
        aliases=("ssd", "mamba-2"),
        notes=(
            "heads are those of x: in Mamba-2 models heads times head_dim is twice dim, here what"
            " is asked for",
            "norm, gate and the direct path D belong to the core",
            "dt has no limits; Nemotron-H keeps it above 0.001, and Falcon-H1 has no norm here",
        ),
    )
    inputs: ClassVar = {
        "x": Input(),
        "B": Input("groups", "state"),
        "C": Input("groups", "state"),
        "dt": Input(width=None, sample=step_size),
        "z": Input(),
    }
    convolved = ("x", "B", "C")
    convolution_bias = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Convolved.Config):
        state: int = 128
        """Numbers in a head's state for each of its channels; 64 to 256 in models."""
        groups: int = 1
        """Groups of heads, each with a B and a C of its own; 8 in Nemotron-3."""

    def __init__(self, config: Config) -> None:
        for name in ("state", "groups"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.heads % config.groups:
            raise Unsupported(f"{config.heads} heads are no multiple of groups {config.groups}")
        self.state, self.groups = config.state, config.groups
        super().__init__(config)
        self.log_rate_H = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.direct_H = nn.Parameter(torch.ones(self.heads))
        self.norm_HP = nn.Parameter(torch.ones(self.heads, self.head_dim))
        self.bias_H = None if config.core else nn.Parameter(step_biases(self.heads))

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return self.heads, self.state, self.head_dim

    def activated(self, name: str, y: Tensor) -> Tensor:
        if name != "dt":
            return y
        assert self.bias_H is not None
        return softplus(wide(y) + wide(self.bias_H)[:, None])

    def attend(
        self,
        x_BHTP: Tensor,
        B_BGTN: Tensor,
        C_BGTN: Tensor,
        dt_BHT: Tensor,
        z_BHTP: Tensor,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        rate_H1 = wide(self.log_rate_H).exp()[:, None]
        step_BHT1 = dt_BHT.unsqueeze(-1).to(x_BHTP.dtype)
        y_BHTP = decay_scan(C_BGTN, B_BGTN, x_BHTP * step_BHT1, -rate_H1 * wide(dt_BHT))
        return self._finish(y_BHTP, x_BHTP, z_BHTP)

    def step(
        self,
        x_BHP: Tensor,
        B_BGN: Tensor,
        C_BGN: Tensor,
        dt_BH: Tensor,
        z_BHP: Tensor,
        state: Memory,
    ) -> tuple[Tensor, Memory]:
        decay_BH = -wide(self.log_rate_H).exp() * wide(dt_BH)
        new_BHP = x_BHP * dt_BH.unsqueeze(-1).to(x_BHP.dtype)
        y_BHP, matrix_BHNP = decay_step(
            repeat_kv(C_BGN, self.heads), repeat_kv(B_BGN, self.heads), new_BHP, decay_BH,
            state.matrix_BHKV,
        )  # fmt: skip
        y_BHxP = self._finish(*(x.unsqueeze(2) for x in (y_BHP, x_BHP, z_BHP)))
        return y_BHxP.squeeze(2), state.after(matrix_BHNP)

    def _finish(self, y_BHTP: Tensor, x_BHTP: Tensor, z_BHTP: Tensor) -> Tensor:
        y_BHTP = torch.addcmul(y_BHTP, x_BHTP, self.direct_H[:, None, None]) * silu(z_BHTP)
        y_BGRTP = normed(by_group(y_BHTP, self.groups), None, 1e-5, over=(2, 4))
        return y_BGRTP.flatten(1, 2) * self.norm_HP.unsqueeze(1)
