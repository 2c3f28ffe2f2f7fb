"""Layers whose inputs mix a token with the one before it, as in RWKV (arXiv:2305.13048).

I inputs; S, the one token before the current one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from effattn_cli.parts.recurrent import Memory, Recurrent


class Shifted(Recurrent):
    """Each input is projected from its own mixture x_t + m o (x_(t-1) - x_t), with m learned."""

    #: Per input, the initial value of m: in channel n of D it is 1 - (n / D)^power.
    powers: ClassVar[Mapping[str, float]]

    def __init__(self, config: Recurrent.Config) -> None:
        super().__init__(config)
        if not config.core:
            position_D = torch.arange(config.dim) / config.dim
            starts = [1 - position_D ** self.powers[name] for name in self.projected]
            self.shift_ID = nn.Parameter(torch.stack(starts))

    def project(self, x_BTD: Tensor) -> tuple[Tensor, ...]:
        return self._mixed(x_BTD, pad(x_BTD[:, :-1], (0, 0, 1, 0)))

    def project_step(self, x_BD: Tensor, state: Memory) -> tuple[tuple[Tensor, ...], Memory]:
        assert state.recent_BSE is not None
        x_BSD = x_BD.unsqueeze(1)
        given = self._mixed(x_BSD, state.recent_BSE)
        pairs = zip(self.inputs.values(), given, strict=True)
        return tuple(spec.of_token(x) for spec, x in pairs), replace(state, recent_BSE=x_BSD)

    def _mixed(self, x_BTD: Tensor, before_BTD: Tensor) -> tuple[Tensor, ...]:
        away_BTD = before_BTD - x_BTD
        pairs = zip(self.projected, self.shift_ID, strict=True)
        return self._finished(
            {
                name: self.projections[name](torch.addcmul(x_BTD, away_BTD, share_D))
                for name, share_D in pairs
            }
        )

    def init_state(self, batch: int, context: int) -> Memory:
        last_BSD = self.blank(batch, 1, self.config.dim, random=context > 0)
        return replace(super().init_state(batch, context), recent_BSE=last_BSD)
