"""Rotary positions, and other changes to queries and keys between projection and scores."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

from effattn_cli.attention import Attention, Unsupported


class Rotary(Attention):
    """Rotates q and k by their position after the projections (RoPE), if `rotary` is set.

    Of a head's first R dimensions, a = x_r and b = x_(r + R/2) become a cos - b sin and
    b cos + a sin of the angle t base^(-2 r / R) at position t, so that a score depends on the
    distance of two tokens (RoFormer, Su et al. 2021, arXiv:2104.09864; with halves instead of
    adjacent pairs, and only a part of the width, as in GPT-NeoX and Llama). The core does not see
    it.
    """

    cos_TR: Tensor
    sin_TR: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        rotary: float = 0.0
        """The part of a head's width that is rotated by its position: 1 in Llama, 0.25 in GPT-NeoX
        and in Qwen3-Next; 0 for none."""
        rotary_base: float = 10_000.0
        """The angles go from 1 down to about 1 / base; 500000 in Llama 3."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if not 0 <= config.rotary <= 1:
            raise Unsupported(f"rotary {config.rotary} is not from 0 to 1")
        if config.rotary_base <= 1:
            raise Unsupported(f"rotary_base {config.rotary_base} is not above 1")
        self.turned = int(self.head_dim * config.rotary) // 2 * 2
        if self.turned and config.core:
            raise Unsupported("rotary positions belong to the projections, a core has none")
        if self.turned:
            cos_TR, sin_TR = angles(config.tokens, self.turned, config.rotary_base)
            self.register_buffer("cos_TR", cos_TR, persistent=False)
            self.register_buffer("sin_TR", sin_TR, persistent=False)

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._rotated(super().project(x_BTD), 0)

    def project_step(self, x_BD: Tensor, state: Any) -> tuple[tuple[Tensor, ...], Any]:
        """The state of such a variant must have a `length`, the number of tokens it holds."""
        given = self._rotated(super().project(x_BD.unsqueeze(1)), state.length)
        pairs = zip(self.inputs.values(), given, strict=True)
        return tuple(spec.of_token(x) for spec, x in pairs), state

    def _rotated(self, inputs: tuple[Tensor, ...], first: int) -> tuple[Tensor, ...]:
        q_BHTK, k_BGTK, *rest = inputs
        return self.at(q_BHTK, first), self.at(k_BGTK, first), *rest

    def at(self, x_BHTK: Tensor, first: int = 0) -> Tensor:
        """Queries or keys of the tokens from position `first` on, rotated."""
        if not self.turned:
            return x_BHTK
        position = slice(first, first + x_BHTK.shape[2])
        return turned(x_BHTK, self.cos_TR[position], self.sin_TR[position])


class Prepared(Rotary):
    """Rotary positions, with further options: q and k may be normalised before they are rotated,
    and q may grow with its position afterwards; v may share its projection with k, and is never
    rotated.

    (Query-key normalisation, Henry et al. 2020, arXiv:2010.04245; as in Qwen3 and Llama 4.)
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Rotary.Config):
        qk_norm: bool = False
        """Whether each head of q and k is divided by its root mean square and scaled, as in Qwen3
        and Gemma 3."""
        log_scale: float = 0.0
        """Grows q at position t to 1 + log_scale log(1 + floor((t + 1) / 8192)) times, as Llama 4
        does with 0.1 where it has no positions."""
        k_eq_v: bool = False
        """Whether keys and values have one projection, as in full layers of Gemma 4: a value is
        what a key is before its norm, divided by its root mean square. Both are cached."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.qk_norm, self.log_scale = config.qk_norm, config.log_scale
        for name in ("qk_norm", "log_scale", "k_eq_v"):
            if config.core and getattr(config, name):
                raise Unsupported(f"{name} belongs to the projections, a core has none")
        if config.qk_norm:
            self.norm_q_K = nn.Parameter(torch.ones(self.head_dim))
            self.norm_k_K = nn.Parameter(torch.ones(self.head_dim))

    @property
    def projected(self) -> tuple[str, ...]:
        names = super().projected
        return tuple(name for name in names if name != "v" or not self.config.k_eq_v)

    def _rotated(self, inputs: tuple[Tensor, ...], first: int) -> tuple[Tensor, ...]:
        q_BHTK, k_BGTK, v_BGTK, *rest = inputs
        if self.config.k_eq_v:
            v_BGTK = rms_norm(k_BGTK, k_BGTK.shape[-1:], eps=1e-6)
        if self.qk_norm:
            q_BHTK = rms_norm(q_BHTK, q_BHTK.shape[-1:], self.norm_q_K, 1e-6)
            k_BGTK = rms_norm(k_BGTK, k_BGTK.shape[-1:], self.norm_k_K, 1e-6)
        q_BHTK, k_BGTK, *_ = super()._rotated((q_BHTK, k_BGTK), first)
        if self.log_scale:
            count_T = torch.arange(first, first + q_BHTK.shape[2], device=q_BHTK.device) + 1
            growth_T1 = torch.log1p(count_T.div(8192, rounding_mode="floor"))[:, None]
            q_BHTK = q_BHTK * (1 + self.log_scale * growth_T1).to(q_BHTK.dtype)
        return q_BHTK, k_BGTK, v_BGTK, *rest


def turned(x_BHTK: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Tensor:
    """Rotates the first R dimensions by the angles of their tokens."""
    half = cos_TR.shape[-1]
    a, b, rest = x_BHTK[..., :half], x_BHTK[..., half : 2 * half], x_BHTK[..., 2 * half :]
    return torch.cat([a * cos_TR - b * sin_TR, b * cos_TR + a * sin_TR, rest], dim=-1)


def angles(tokens: int, width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the angles, (T, R / 2), computed in float64."""
    rate_R = base ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle_TR = torch.arange(tokens, dtype=torch.float64)[:, None] * rate_R
    dtype = torch.get_default_dtype()
    return angle_TR.cos().to(dtype), angle_TR.sin().to(dtype)
