"""The authors' package entmax: its functions between two products."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import HEADS, WIDTH, Inputs, Peer, nothing_to_copy
from effattn_cli.attention import Attention


class Learned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(HEADS, 1, 1))

    def forward(self, scores_BHTS: Tensor) -> Tensor:
        from entmax import entmax_bisect  # noqa: PLC0415

        return entmax_bisect(scores_BHTS, 1 + self.alpha.sigmoid()[None])


class Fixed(nn.Module):
    def forward(self, scores_BHTS: Tensor) -> Tensor:
        from entmax import entmax15  # noqa: PLC0415

        return entmax15(scores_BHTS)


def run(module: Any, inputs: Inputs) -> Tensor:
    q_BHTK, k_BHTK, v_BHTK = inputs
    out: Tensor = module(q_BHTK @ k_BHTK.mT * WIDTH**-0.5) @ v_BHTK
    return out


def copy(ours: Attention, theirs: Any) -> None:
    theirs.alpha.data = ours.get_parameter("alpha_H11").data


def maker(kind: type[nn.Module]) -> Callable[[int], nn.Module]:
    return lambda _: kind()


PEERS = [
    Peer(package="entmax", make=maker(Learned), run=run, copy=copy),
    Peer(
        package="entmax", make=maker(Fixed), run=run, copy=nothing_to_copy,
        options=(("alpha", 1.5),),
    ),
]  # fmt: skip
