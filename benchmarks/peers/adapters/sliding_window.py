"""local-attention: the mechanism. transformers: a layer of gpt-oss with a window and sinks."""

from collections.abc import Callable

from torch import nn

from benchmarks.peers.adapters import _gpt_oss
from benchmarks.peers.peer import Peer, nothing_to_copy


def make(causal: bool) -> Callable[[int], nn.Module]:  # noqa: FBT001
    def made(_: int) -> nn.Module:
        from local_attention import LocalAttention  # noqa: PLC0415

        # Its exact window is w keys back and itself; not causal, w on each side.
        window = 255 if causal else 128
        return LocalAttention(
            window, causal=causal, exact_windowsize=True, autopad=True, use_rotary_pos_emb=False
        )

    return made


PEERS = [
    Peer(
        package="local-attention", make=make(causal), run=lambda m, x: m(*x), causal=causal,
        options=(("window", 256),), copy=nothing_to_copy,
    )
    for causal in (False, True)
] + [
    Peer(
        package="transformers", which="sinks", make=_gpt_oss.maker("sliding_attention"),
        run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(*_gpt_oss.OPTIONS, ("window", _gpt_oss.WINDOW), ("sinks", "learned")),
        copy=_gpt_oss.copy,
    )
]  # fmt: skip
