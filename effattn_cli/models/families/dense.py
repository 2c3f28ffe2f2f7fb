"""Decoders with softmax attention and a dense feed-forward in every layer."""

from collections.abc import Callable, Mapping
from functools import partial

from effattn_cli.architecture import Model
from effattn_cli.models.decoder import Style, decoder
from effattn_cli.models.keys import Keys

GPT2 = Style(
    norm="layer", qkv_bias=True, out_bias=True, feed_bias=True, gated=False, activation="gelu_new",
    width=4, learned_positions=0, tied=True,
)  # fmt: skip

STYLES: Mapping[str, Style] = {
    "gpt2": GPT2,
    "llama": Style(),
    "qwen2": Style(qkv_bias=True),
    "qwen3": Style(qk_norm="head"),
}
FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    name: partial(decoder, style=style) for name, style in STYLES.items()
}
