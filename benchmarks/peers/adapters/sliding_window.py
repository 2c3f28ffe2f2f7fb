"""local-attention: the mechanism. transformers: a layer of gpt-oss with a window and sinks."""

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.peers.adapters import _gpt_oss, _local_attention
from benchmarks.peers.adapters._transformers import dynamic_steps
from benchmarks.peers.peer import Peer, State, nothing_to_copy
from effattn_cli.parts.banded import Ring


def make(causal: bool) -> Callable[[int], nn.Module]:  # noqa: FBT001
    def made(_: int) -> nn.Module:
        from local_attention import LocalAttention  # noqa: PLC0415

        # Its exact window is w keys back and itself; not causal, w on each side.
        window = 255 if causal else 128
        return LocalAttention(
            window, causal=causal, exact_windowsize=True, autopad=True, use_rotary_pos_emb=False
        )

    return made


def state(_: Any, ours: Ring) -> State:
    """The last keys and values, the oldest first."""
    both, (room, length) = (ours.k_BGRK, ours.v_BGRK), (ours.k_BGRK.shape[2], ours.length)
    return tuple(x.roll(-length, 2)[:, :, max(0, room - length) :] for x in both)


def state_before(theirs: Any, ours: Ring) -> State:
    """Without the one that no later query sees."""
    return tuple(x[:, :, 1 - _gpt_oss.WINDOW :] for x in state(theirs, ours))


PEERS = [
    Peer(
        package="local-attention", make=make(causal=False), run=lambda m, x: m(*x),
        options=(("window", 256),), copy=nothing_to_copy,
    ),
    Peer(
        package="local-attention", make=make(causal=True), run=lambda m, x: m(*x), causal=True,
        options=(("window", 256),), copy=nothing_to_copy, state=state,
        steps={"": _local_attention.steps},
    ),
    Peer(
        package="transformers", which="sinks", make=_gpt_oss.maker("sliding_attention"),
        run=lambda m, x: m(*x), scope="layer", causal=True,
        options=(*_gpt_oss.OPTIONS, ("window", _gpt_oss.WINDOW), ("sinks", "learned")),
        copy=_gpt_oss.copy, state=state_before, steps={"": dynamic_steps},
    ),
]  # fmt: skip
