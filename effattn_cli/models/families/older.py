"""Decoders of the first years: layer norms, plain feed-forwards, learned or biased positions."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from msgspec import Meta, ValidationError, convert
from msgspec.structs import replace as altered

from effattn_cli.architecture import Mixer, Model
from effattn_cli.models.decoder import HEADS, Style, attention, decoder, shape_of
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import FULL, LAYERS, SLIDING, given, whole
from effattn_cli.models.pieces import linear, norm

ALIBI = "scores are biased by distance (ALiBi), which the variants leave out"
RELATIVE = "scores have a learned bias by distance, which the variants leave out"
REPEATED = (
    "transformers keeps keys and values repeated for each head, and so they are counted; an engine"
    " that keeps those of the kv heads needs less"
)
PROMPTS = "its prompt's tokens come before a text's, and are kept as these are"
BIASED = Style(
    layout=whole, norm="layer", qkv_bias=True, out_bias=True, feed_bias=True, gated=False,
    activation="gelu_new", width=4, bias_keys=(), feed_keys=(),
)  # fmt: skip
GPT2 = replace(BIASED, learned_positions=0, tied=True)
GPTJ = replace(BIASED, qkv_bias=False, out_bias=False, norms=1, parallel=True, head_bias=True)
FAIRSEQ = replace(BIASED, activation="gelu", tied=True)

STYLES: Mapping[str, Style] = {
    "biogpt": replace(FAIRSEQ, learned_positions=2),
    "codegen": GPTJ,
    "gpt2": GPT2,
    "gptj": GPTJ,
    "openai-gpt": replace(
        GPT2, activation="gelu", final_norm=False, notes=("transformers keeps no cache of it",)
    ),
    "xglm": FAIRSEQ,
}


def bloom(keys: Keys) -> Model:
    """Norms also the embedding; the width of the stream may be called n_embed."""
    keys.skip("apply_residual_connection_post_layernorm")
    style = replace(BIASED, activation="gelu", tied=True, embedding_norm=True, notes=(ALIBI,))
    return decoder(keys, style)


def ctrl(keys: Keys) -> Model:
    """Sinusoidal positions, and a head with a bias."""
    style = replace(BIASED, activation="relu", tied=True, head_bias=True)
    return decoder(keys, style)


def gpt_bigcode(keys: Keys) -> Model:
    """One kv head for all, unless told otherwise."""
    one = keys.flag("multi_query", default=True)
    keys.skip("num_key_value_heads")  # follows
    heads = keys.count(*HEADS)

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = replace(shape_of(keys), kv_heads=1 if one else heads)
        return [attention(keys, style, shape)] * keys.count(*LAYERS)

    return decoder(keys, replace(GPT2, activation="gelu_pytorch_tanh"), mixers)


def groups(keys: Keys) -> list[tuple[list[str], int]]:
    """Kinds of layers, each group with how often it is repeated."""
    try:
        return convert(
            keys.items("attention_types") or [[["global", "local"], 12]],
            list[tuple[list[Literal["global", "local"]], Annotated[int, Meta(ge=1, le=10_000)]]],
        )
    except ValidationError as error:
        raise keys.refuse("attention_types", str(error)) from error


def gpt_neo(keys: Keys) -> Model:
    """Patterns of global and local layers, each with how often it is repeated."""
    kinds = {"global": FULL, "local": SLIDING}
    order = [name for names, times in groups(keys) for _ in range(times) for name in names]
    keys.skip("attention_layers")  # the same at full length
    if len(order) != keys.count(*LAYERS):
        raise keys.refuse("attention_types", f"{len(order)} kinds for {keys.count(*LAYERS)} layers")

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        made = {kind: attention(keys, style, shape, kind) for kind in kinds.values()}
        whole = made[FULL].keeps  # transformers keeps also what a local layer no longer sees
        return [altered(made[kinds[name]], keeps=whole) for name in order]

    return decoder(keys, replace(GPT2, qkv_bias=False), mixers)


def gpt_neox(keys: Keys) -> Model:
    """The halves in parallel, unless told otherwise."""
    style = Style(
        layout=whole, norm="layer", feed_bias=True, gated=False, activation="gelu", feed_keys=(),
        parallel=keys.flag("use_parallel_residual", default=True),
    )  # fmt: skip
    return decoder(keys, style)


def gpt_neox_japanese(keys: Keys) -> Model:
    """Without biases but one, after the last layer's attention."""
    style = Style(
        layout=whole, norm="layer", gated=False, activation="gelu", tied=True,
        bias_keys=(), feed_keys=(),
        width=keys.count("intermediate_multiple_size", default=4),
    )  # fmt: skip
    model = decoder(keys, style)
    return altered(model, other=model.other + model.dim)


def opt(keys: Keys) -> Model:
    """Norms before or after, with or without weights; the embedding may be narrower."""
    biased = keys.flag("enable_bias", default=True)
    affine = keys.flag("layer_norm_elementwise_affine", default=True)
    before = keys.flag("do_layer_norm_before", default=True)
    final = before and not keys.flag("_remove_final_layer_norm")
    style = replace(
        FAIRSEQ, activation="relu", qkv_bias=biased, out_bias=biased, feed_bias=biased,
        norms=2 if affine else 0, final_norm=final and affine, learned_positions=2,
    )  # fmt: skip
    model = decoder(keys, style)
    width = keys.count("word_embed_proj_dim", default=model.dim)
    if width == model.dim:
        return model
    rows = model.embedding - model.vocab * model.dim
    return altered(
        model, embedding=rows + model.vocab * width, head=0 if model.tied else model.vocab * width,
        other=model.other + 2 * linear(model.dim, width),
    )  # fmt: skip


def mpt(keys: Keys) -> Model:
    """As transformers builds it: no biases, four times the width."""
    options = keys.part("attn_config") if "attn_config" in keys else Keys({}, keys.name)
    for part, key, usual in (
        (keys, "no_bias", True), (keys, "expansion_ratio", 4), (options, "qk_ln", False),
        (options, "attn_type", "multihead_attention"), (options, "prefix_lm", False),
    ):  # fmt: skip
        if part.get(key, default=usual) != usual:
            raise part.refuse(key, f"transformers builds it with {usual!r} only")
    style = Style(
        layout=whole, norm="layer", norm_bias=False,
        gated=False, activation="gelu", width=4, tied=True,
        bias_keys=(), feed_keys=(), notes=(ALIBI,) if options.flag("alibi", default=True) else (),
    )  # fmt: skip
    keys.skip("learned_pos_emb")
    return decoder(keys, style)


def falcon(keys: Keys) -> Model:
    """One kv head for all, groups in the new decoder, or as many as heads."""
    new = keys.flag("new_decoder_architecture")
    parallel = keys.flag("parallel_attn", default=True)
    heads, norms = keys.count(*HEADS), keys.get("num_ln_in_parallel_attn")
    named = keys.count("num_kv_heads", default=heads)
    one = keys.flag("multi_query", default=True) and not new
    kv_heads = 1 if one else named
    notes = (ALIBI,) if keys.flag("alibi") else ()
    repeated = new and kv_heads < heads
    two = not parallel or (norms or (2 if new else 1)) == 2
    style = Style(
        norm="layer", gated=False, activation="gelu", width=4, tied=True, bias_keys=("bias",),
        feed_keys=("bias",), norms=2 if two else 1, parallel=parallel,
        notes=(*notes, REPEATED) if repeated else notes,
    )  # fmt: skip

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = replace(shape_of(keys), kv_heads=kv_heads)
        mixer = attention(keys, style, shape)
        if repeated:
            all_heads = altered(mixer.keeps[0], numbers=2 * heads * shape.head_dim)
            mixer = altered(mixer, keeps=(all_heads,))
        return [mixer] * keys.count(*LAYERS)

    return decoder(keys, style, mixers)


def cpmant(keys: Keys) -> Model:
    """Prompts and segments are embedded besides tokens; distances bias the scores."""
    style = Style(
        layout=whole, bias_keys=(), feed_keys=(), activation="gelu", notes=(RELATIVE, PROMPTS)
    )
    model = decoder(keys, style)
    segments, kinds = (
        keys.count("segment_types", default=32),
        keys.count("prompt_types", default=32),
    )
    prompts = kinds * keys.count("prompt_length", default=32)
    buckets = keys.count("position_bias_num_buckets", default=512) + segments**2
    rows = model.vocab + prompts + segments
    keys.skip("tie_word_embeddings")  # the head has fewer rows than the embedding
    return altered(
        model, embedding=rows * model.dim, head=linear(model.dim, model.vocab), tied=False,
        other=model.other + buckets * keys.count(*HEADS),
    )  # fmt: skip


def modernbert_decoder(keys: Keys) -> Model:
    """The first layer has no norm before its attention: the embedding has one."""
    half = keys.count("local_attention", default=128, minimum=0) // 2
    every = keys.count("global_attn_every_n_layers", default=3)
    kinds = [SLIDING if index % every else FULL for index in range(keys.count(*LAYERS))]
    biased = keys.flag("norm_bias")
    style = Style(
        norm="layer", norm_bias=biased, activation="gelu", tied=True, embedding_norm=True,
    )  # fmt: skip

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        order = given(keys, lambda *_: kinds)
        return [attention(keys, style, shape, kind, window=half) for kind in order]

    model = decoder(keys, style, mixers)
    first = altered(model.layers[0], parameters=norm(model.dim, "layer", bias=biased))
    head = linear(model.dim, model.dim, bias=keys.flag("classifier_bias"))
    head += norm(model.dim, "layer", bias=biased)
    biases = model.vocab if keys.flag("decoder_bias", default=True) else 0
    return model.having(
        layers=(first, *model.layers[1:]),
        head=model.head + head + biases,
    )


FAMILIES: Mapping[str, Reader] = {
    **{name: partial(decoder, style=style) for name, style in STYLES.items()},
    "bloom": bloom,
    "cpmant": cpmant,
    "ctrl": ctrl,
    "falcon": falcon,
    "gpt_bigcode": gpt_bigcode,
    "gpt_neo": gpt_neo,
    "gpt_neox": gpt_neox,
    "gpt_neox_japanese": gpt_neox_japanese,
    "modernbert-decoder": modernbert_decoder,
    "mpt": mpt,
    "opt": opt,
}
