"""T5Gemma: an encoder and a decoder with Gemma 2's layers."""

from collections.abc import Callable, Mapping
from functools import partial

from effattn_cli.architecture import Layer, Mixer, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import FULL, SLIDING, full_every, given
from effattn_cli.models.pieces import dense, linear, norm, softmax


def t5gemma(keys: Keys) -> Model:
    """Each stack embeds words by a table of its own; the head's is the decoder's."""
    there, here = keys.part("encoder"), keys.part("decoder")
    dim = here.count("hidden_size")
    if there.count("hidden_size") != dim:
        raise there.refuse("hidden_size", f"the decoder's is {dim}: stacks of one width are read")
    for part in (there, here):
        part.skip(
            "model_type", "is_decoder", "cross_attention_hidden_size", "query_pre_attn_scalar"
        )
    layers = (*_stack(there, dim, decoder=False), *_stack(here, dim, decoder=True))
    vocab = here.count("vocab_size")
    tied = keys.flag("tie_word_embeddings", default=True)
    keys.skip("vocab_size")
    return Model.of(
        name="", family="", dim=dim, layers=layers, vocab=vocab,
        embedding=(there.count("vocab_size") + vocab) * dim, tied=tied,
        head=0 if tied else linear(dim, vocab), other=2 * norm(dim, "rms"),
        context=here.count("max_position_embeddings"),
        notes=("a window layer's soft cap of scores is not part of its variant",),
    )  # fmt: skip


def _stack(part: Keys, dim: int, *, decoder: bool) -> list[Layer]:
    heads, width = part.count("num_attention_heads"), part.count("head_dim")
    kv_heads, cap = part.count("num_key_value_heads"), part.number("attn_logit_softcapping")
    bias = part.flag("attention_bias")
    capped = {"softcap": cap} if cap else {}
    make = partial(softmax, dim, heads, kv_heads, width, qkv_bias=bias, out_bias=bias)
    mixers: dict[str, Mixer] = {
        FULL: make(variant="gqa", options=capped, causal=decoder),
        SLIDING: make(kind=SLIDING, window=part.count("sliding_window"), causal=decoder),
    }
    cross = make(kind="cross_attention", variant="gqa", options=capped, source=True)
    activation = part.word("hidden_activation", default="gelu_pytorch_tanh")
    feed = dense(dim, part.count("intermediate_size"), activation, gated=True)
    return [
        Layer(
            mixer=mixers[kind], cross=cross if decoder else None, feed=feed,
            parameters=(6 if decoder else 4) * norm(dim, "rms"),
            stack="decoder" if decoder else "encoder",
        )
        for kind in given(part, full_every(2))
    ]  # fmt: skip


FAMILIES: Mapping[str, Callable[[Keys], Model]] = {"t5gemma": t5gemma}
