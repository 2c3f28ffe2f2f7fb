"""What adapters of local-attention share: its decoding step.

That belongs to its layer, `LocalMHA`, which is given our q, k and v in place of its projections.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import DIM, Inputs, State, Steps


def steps(theirs: Any, inputs: Inputs, state: State, contexts: range) -> Steps:
    """`Peer.steps` of its mechanism. The cache is joined and cut at each step, as it generates."""
    from local_attention import LocalMHA  # noqa: PLC0415

    layer = LocalMHA(
        dim=DIM, window_size=theirs.window_size, causal=True, use_rotary_pos_emb=False,
        look_backward=theirs.look_backward, exact_windowsize=theirs.exact_windowsize,
    )  # fmt: skip
    layer.to_qkv, layer.to_out = nn.Identity(), nn.Identity()
    qkv_BxE = torch.cat([x_BHK.flatten(1) for x_BHK in inputs], dim=1).unsqueeze(1)
    first = torch.stack(state)

    def run() -> tuple[Tensor, State]:
        cache = first
        for _ in contexts:
            out, cache = layer(qkv_BxE, cache=cache, return_cache=True)
        return out, tuple(cache)

    return run
