"""A plugin whose shapes depend on its input, so that nothing can be counted without running it."""

import torch
from torch import Tensor

from effattn_cli.attention import Attention, Card


class DataDependent(Attention):
    """Means of the keys that are above zero, as many as there are."""

    card = Card(
        title="Data dependent",
        families=("test",),
        paper="",
        year=2026,
        time="N",
        memory="N",
        causal="never",
        kind="own mechanism",
        padding=False,
    )

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        some = int((k_BHTK > 0).sum().item())
        return v_BHTK + torch.ones(some, device=v_BHTK.device).mean()
