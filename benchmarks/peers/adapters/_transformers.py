"""What adapters of transformers share.

In decoding, keys and values are kept in two ways. A `DynamicCache`, which `generate` makes unless
told otherwise, joins the new key to the old ones at every step, which copies all of them, and so do
the steps here. A `StaticCache` is written in place, and all of its room is attended to under a
mask; here it has no more room than the step needs, which is the best case. Of windows there is only
the first, which copies little. What a model makes once for all of its layers, rotary positions and
masks, is ready before a step.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from benchmarks.peers.peer import DIM, Inputs, State, Steps
from effattn_cli.parts.cache import Cache
from effattn_cli.parts.recurrent import Memory

#: Packages of kernels that it takes in place of its own torch code, also where there is no GPU.
KERNELS = ("fla", "mamba_ssm", "causal_conv1d")


def modeling(model: str) -> Any:
    """The module of a model's layers and config, which finds no package of kernels."""
    modules: dict[str, Any] = sys.modules
    kept = {name: modules[name] for name in KERNELS if name in modules}
    modules.update(dict.fromkeys(KERNELS))  # which makes an import of them fail
    try:
        return import_module(f"transformers.models.{model}.modeling_{model}")
    finally:
        for name in KERNELS:
            del modules[name]
        modules.update(kept)


class Placed(nn.Module):
    """An attention, with what its model makes once for all layers: rotary positions, and a mask."""

    def __init__(
        self,
        inner: Any,
        rotary: Any,
        tokens: int,
        mask: Callable[..., Tensor | None] | None = None,
        **more: Any,
    ) -> None:
        """`mask`: the function that makes the mask; `more`: what `inner` takes besides."""
        super().__init__()
        self.inner, self.rotary, self.make_mask, self.more = inner, rotary, mask, more
        self.made = self._made(torch.arange(tokens))

    def _made(self, position_T: Tensor, cache: Any = None) -> dict[str, Any]:
        """What the model makes for tokens at these positions, which come after those of a cache."""
        from transformers.masking_utils import create_causal_mask  # noqa: PLC0415

        config, position_BT, mask = self.inner.config, position_T[None], None
        x_BTD = torch.empty(*position_BT.shape, DIM)
        if cache is not None:
            make, layer = self.make_mask or create_causal_mask, self.inner.layer_idx
            mask = make(config, x_BTD, None, cache, position_BT, layer_idx=layer)
        elif self.make_mask is not None:
            mask = self.make_mask(config, x_BTD, None, None)
        places = self.rotary(torch.empty(0), position_BT)
        return {"position_embeddings": places, "attention_mask": mask}

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.inner(x_BTD, **self.made, **self.more)[0]

    def filled(self, cache: Any, keys: Tensor, values: Tensor) -> Any:
        """The empty cache with these keys and values."""
        cache.update(keys, values, self.inner.layer_idx)
        return cache

    def dynamic(self, keys: Tensor, values: Tensor) -> Any:
        """A cache that grows with each token."""
        from transformers import DynamicCache  # noqa: PLC0415

        return self.filled(DynamicCache(config=self.inner.config), keys, values)

    def static(self, keys: Tensor, values: Tensor, room: int) -> Any:
        """A cache with room for so many tokens."""
        from transformers import StaticCache  # noqa: PLC0415

        cache = StaticCache(config=self.inner.config, max_cache_len=room)
        return self.filled(cache, keys, values)

    def steps(self, inputs: Inputs, cache: Any, contexts: range) -> Steps:
        """From a cache that holds what is left of as many tokens as come before the first step."""
        (x_BD,) = inputs
        x_BxD, layer = x_BD.unsqueeze(1), cache.layers[self.inner.layer_idx]
        first = layer.keys, layer.values

        def rewind(context: int) -> None:
            layer.keys, layer.values = first
            if hasattr(layer, "max_cache_len"):
                layer.cumulative_length.fill_(context)
            elif layer.is_sliding:
                layer.cumulative_length = context

        made = []
        for context in contexts:
            rewind(context)
            made.append(self._made(torch.tensor([context]), cache))

        def run() -> tuple[Tensor, State]:
            rewind(contexts.start)
            for each in made:
                out = self.inner(x_BxD, cache=cache, **each, **self.more)[0]
            return out, (layer.keys, layer.values)

        return run


def kept(_: Any, ours: Cache) -> State:
    """`Peer.state` of a layer whose cache holds the keys and values of all tokens."""
    return ours.k_BGRK[:, :, : ours.length], ours.v_BGRK[:, :, : ours.length]


def dynamic_steps(theirs: Placed, inputs: Inputs, state: State, contexts: range) -> Steps:
    """Of such a layer, or of one that has a window."""
    return theirs.steps(inputs, theirs.dynamic(*state), contexts)


def static_steps(theirs: Placed, inputs: Inputs, state: State, contexts: range) -> Steps:
    """Of such a layer."""
    keys, values = state
    return theirs.steps(inputs, theirs.static(keys, values, contexts.stop), contexts)


#: `Peer.steps` of such a layer.
CACHED = {"dynamic cache": dynamic_steps, "static cache": static_steps}


def remembered(_: Any, ours: Memory) -> State:
    """`Peer.state` of a recurrent layer after a short convolution."""
    assert ours.recent_BSE is not None
    return ours.recent_BSE.mT, ours.matrix_BHKV


def recurrent_steps(theirs: Any, inputs: Inputs, state: State, _: range) -> Steps:
    """Of such a layer, or of a short convolution alone; both write in place."""
    from transformers.cache_utils import Cache, LinearAttentionLayer  # noqa: PLC0415

    recent_BES, *matrix = state
    layer = LinearAttentionLayer()
    cache = Cache(layers=[layer])
    cache.update_conv_state(pad(recent_BES, (1, 0)), 0)  # keeps one token more than it reads
    for each in matrix:
        cache.update_recurrent_state(each, 0)
    (x_BD,) = inputs
    x_BxD = x_BD.unsqueeze(1)

    def run() -> tuple[Tensor, State]:
        out = theirs(x_BxD, cache=cache)
        return out, (layer.conv_states[0][..., 1:], *(layer.recurrent_states[0] for _ in matrix))

    return run


@torch.no_grad()
def copy_projections(ours: Any, inner: Any) -> None:
    for name, other in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("out", "o_proj")):
        getattr(inner, other).weight.copy_(ours.projections[name].weight)
