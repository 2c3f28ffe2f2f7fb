"""Exact attention as torch computes it."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from effattn_cli.attention import Card, Decodable
from effattn_cli.attention.target import stands_for_another
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.exact import exact
from effattn_cli.parts.rotary import Prepared

BACKENDS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


@final
class SDPA(Prepared, Decodable[Cache]):
    """Exact softmax attention through torch's fused kernels, the baseline of every comparison.

    out = softmax(q k^T / sqrt K) v in tiles with a running maximum and sum, so that the N x N
    scores are never materialised (FlashAttention, arXiv:2205.14135; Rabe & Staats,
    arXiv:2112.05682). If a backend cannot run here, the measurement fails; `auto` leaves the choice
    to torch, though in decoding on a GPU not among cuDNN's kernels.
    """

    grouped = True
    card = Card(
        title="SDPA",
        families=("exact",),
        paper="arXiv:2205.14135",
        year=2022,
        time="N^2",
        memory="N",
        state="N",
        causal="optional",
        kind="exact",
        swap="exact",
        aliases=("flash", "flash-attn", "fused", "full", "mha", "multi-head", "scaled-dot-product"),
        lra=54.39,
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Prepared.Config):
        backend: Literal["auto", "math", "flash", "efficient", "cudnn"] = "auto"
        """The kernel to insist on."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.backend = BACKENDS.get(config.backend)

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        with self._chosen(q_BHTK):
            return exact(q_BHTK, k_BHTK, v_BHTK, valid_BT, causal=self.causal)

    def init_state(self, batch: int, context: int) -> Cache:
        return Cache.init(self, batch, context)

    def step(
        self, q_BHK: Tensor, k_BHK: Tensor, v_BHK: Tensor, state: Cache
    ) -> tuple[Tensor, Cache]:
        state = state.append(k_BHK, v_BHK)
        with self._chosen(q_BHK):
            return state.attend(q_BHK), state

    def _chosen(self, q: Tensor) -> AbstractContextManager[None]:
        """A GPU's kernel is counted on a CPU, which has no such kernel."""
        if self.backend is None or stands_for_another(q):
            return nullcontext()
        return sdpa_kernel(self.backend)
