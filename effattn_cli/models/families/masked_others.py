"""Masked language models with layers of their own: windowed, narrower, without attention."""

from collections.abc import Callable, Mapping
from dataclasses import replace as with_changes
from functools import partial

from msgspec.structs import replace

from effattn_cli.architecture import Feed, Layer, Mixer, Model
from effattn_cli.models.decoder import DIM, Style, shape_of
from effattn_cli.models.encoder import BERT, EncoderStyle, as_saved, attention, encoder
from effattn_cli.models.families.masked import LLAMA
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import LAYERS
from effattn_cli.models.pieces import linear, norm, softmax

MODERN = EncoderStyle(
    norm="layer", norm_bias=False, learned_positions=None, tied=True, head_bias=True,
    embedding_norm=True, activation="gelu", transform_bias=False,
)  # fmt: skip


def pattern(keys: Keys, every: int) -> list[bool]:
    """Of each layer, whether it sees a window only: from `layer_types`, or all but each `every`th,
    of which the first sees all; with 0 the config must say.
    """
    count, kinds = keys.count(*LAYERS), keys.words("layer_types")
    keys.skip("global_attn_every_n_layers")  # where there are layer_types, they decide
    if kinds is None:
        every = keys.count("global_attn_every_n_layers", default=every or None)
        return [bool(at % every) for at in range(count)]
    if len(kinds) != count or not set(kinds) <= {"full_attention", "sliding_attention"}:
        raise keys.refuse("layer_types", f"expected {count} of full or sliding attention")
    return [kind == "sliding_attention" for kind in kinds]


def _windowed(keys: Keys, style: Style, key: str, usual: int, every: int) -> list[Mixer]:
    """Attention to all in some layers, in others to a window of that key's width."""
    shape, window = shape_of(keys), keys.count(key, default=usual)
    bias = keys.flag("attention_bias", default=style.qkv_bias)
    make = partial(
        softmax, shape.dim, shape.heads, shape.kv_heads, shape.head_dim,
        qkv_bias=bias, out_bias=bias, causal=False,
    )  # fmt: skip
    full, local = make(), make(kind="sliding_attention", window=window)
    return [local if sliding else full for sliding in pattern(keys, every)]


def modernbert(keys: Keys) -> Model:
    """The first layer has no norm before its attention. A window counts both sides."""
    style = with_changes(
        MODERN,
        norm_bias=keys.flag("norm_bias"),
        head_bias=keys.flag("decoder_bias", default=True),
        transform_bias=keys.flag("classifier_bias"),
    )
    mixers = partial(_windowed, key="local_attention", usual=128, every=3)
    keys.skip("sparse_prediction", "sparse_pred_ignore_index")
    model = encoder(keys, style, mixers)
    first = model.layers[0]
    less = first.parameters - norm(model.dim, "layer", bias=style.norm_bias)
    return model.having(layers=(replace(first, parameters=less), *model.layers[1:]))


def ultrabert(keys: Keys) -> Model:
    """Two thin matrices without a bias stand before its head."""
    style = LLAMA(transform=False)
    thin = keys.count("prediction_head_size", default=768)
    mixers = partial(_windowed, key="sliding_window", usual=128, every=0)
    model = encoder(keys, style, mixers)
    return replace(model, head=model.head + 2 * linear(model.dim, thin))


def esm(keys: Keys) -> Model:
    """Norms before the halves, and a head that predicts contacts from all layers' weights."""
    if keys.flag("is_folding_model"):
        raise keys.refuse("is_folding_model", "its folding trunk is not in the catalogue")
    absolute = keys.word("position_embedding_type", default="absolute") == "absolute"
    style = BERT(
        types=None, final_norm=True, twin_bias=False, learned_positions=0 if absolute else None,
        padding=1 if absolute else None, embedding_norm=keys.flag("emb_layer_norm_before"),
    )  # fmt: skip
    contacts = linear(keys.count(*LAYERS) * shape_of(keys).heads, 1, bias=True)
    return encoder(keys, style, extra=contacts)


def esmc(keys: Keys) -> Model:
    model = encoder(
        keys, LLAMA(norm="layer", norm_bias=False, qk_norm="width", head_bias=True),
    )  # fmt: skip
    # Norms within the layers and before the head have a bias, the final one has none.
    layers = tuple(
        replace(layer, parameters=2 * norm(model.dim, "layer")) for layer in model.layers
    )
    return model.having(layers=layers, head=model.head + model.dim)


def fnet(keys: Keys) -> Model:
    """Fourier transforms mix tokens: without parameters."""
    dim = keys.count(*DIM)
    mixer = Mixer(
        kind="fourier", variant="fnet", heads=1, kv_heads=1, head_dim=dim, parameters=0,
        causal=False,
    )  # fmt: skip
    style = BERT(types=4, pooler=True, activation="gelu_new")
    mixers = [mixer] * keys.count(*LAYERS)
    return encoder(keys, style, lambda *_: mixers, extra=linear(dim, dim, bias=True))


def nystromformer(keys: Keys) -> Model:
    kernel = keys.get("conv_kernel_size", default=0) and keys.count("conv_kernel_size")
    landmarks = keys.count("num_landmarks", default=64)

    def mixers(keys: Keys, _: Style) -> list[Mixer]:
        shape = shape_of(keys)
        mixer = softmax(
            shape.dim, shape.heads, shape.kv_heads, shape.head_dim, kind="nystrom",
            variant="nystromformer", options={"landmarks": landmarks, "kernel": kernel},
            qkv_bias=True, out_bias=True, extra=shape.heads * kernel, causal=False,
        )  # fmt: skip
        return [mixer] * keys.count(*LAYERS)

    model = encoder(keys, BERT(learned_positions=2, activation="gelu_new"), mixers)
    return replace(model, context=keys.count("max_position_embeddings"))


def big_bird(keys: Keys) -> Model:
    """Blocks: the first and last, its neighbours, and some by chance."""
    kind = keys.word("attention_type", default="block_sparse")
    if kind not in ("block_sparse", "original_full"):
        raise keys.refuse("attention_type", "expected block_sparse or original_full")
    biased = keys.flag("use_bias", default=True)
    if kind == "block_sparse" and keys.flag("is_decoder"):
        raise keys.refuse("is_decoder", "attention in blocks is not causal")
    options = {
        "block_size": keys.count("block_size", default=64),
        "random_blocks": keys.count("num_random_blocks", default=3),
    }

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        dense = attention(keys, style)
        if kind == "original_full":
            return dense
        mixer = softmax(
            shape.dim, shape.heads, shape.kv_heads, shape.head_dim, kind="block_sparse",
            variant="big-bird", options=options, qkv_bias=style.qkv_bias, out_bias=True,
            causal=False,
        )  # fmt: skip
        return [mixer] * len(dense)

    return encoder(keys, BERT(pooler=True, activation="gelu_new", qkv_bias=biased), mixers)


def xlm(keys: Keys) -> Model:
    """XLM and FlauBERT: a table of languages, a feed-forward of four times the width."""
    if keys.flag("asm"):
        raise keys.refuse("asm", "an adaptive softmax has no record here")
    if not keys.flag("is_encoder", default=True):
        raise keys.refuse("is_encoder", "a decoder of this family is not understood")
    languages = keys.count("n_langs", default=1) if keys.flag("use_lang_emb", default=True) else 0
    dim = keys.count("emb_dim", "hidden_size")
    style = BERT(
        types=None, transform=False, width=4, twin_bias=False,
        activation="gelu" if keys.flag("gelu_activation", default=True) else "relu",
    )  # fmt: skip

    def mixers(keys: Keys, _: Style) -> list[Mixer]:
        shape = shape_of(keys)
        mixer = softmax(
            dim, shape.heads, shape.heads, shape.head_dim, qkv_bias=True, out_bias=True,
            causal=keys.flag("causal"),
        )  # fmt: skip
        return [mixer] * keys.count(*LAYERS)

    tables = languages * dim if languages > 1 else 0
    return encoder(keys, style, mixers, tables=tables)


def deberta(keys: Keys, *, separate: bool) -> Model:
    """Without relative attention, which is another mechanism; keys have no bias in the first."""
    if keys.flag("relative_attention"):
        why = "disentangled attention scores positions with products of their own: the catalogue"
        raise keys.refuse("relative_attention", f"{why} lacks it")
    for name in ("talking_head", "conv_kernel_size"):
        if keys.get(name):
            raise keys.refuse(name, "not understood of this family")
    if not keys.flag("legacy", default=True):
        raise keys.refuse("legacy", "only the usual head is understood")
    positions = keys.flag("position_biased_input", default=True)
    style = BERT(types=0, learned_positions=0 if positions else None)
    less = 0 if separate else -keys.count(*DIM)
    return encoder(keys, style, partial(attention, extra=less))


def mobilebert(keys: Keys) -> Model:
    """Layers are narrower than the stream between them, and have several feed-forwards.

    As one feed-forward of the stream's width they count, and cost, the same with
    `width` = number x hidden units x narrow / wide.
    """
    dim, narrow = keys.count(*DIM), keys.count("intra_bottleneck_size", default=128)
    for name, usual in (("use_bottleneck", True), ("key_query_shared_bottleneck", True),
                        ("trigram_input", True), ("use_bottleneck_attention", False)):  # fmt: skip
        if keys.flag(name, default=usual) != usual:
            raise keys.refuse(name, f"only {usual} is understood")
    keys.skip("true_hidden_size", "normalization_type")
    heads, count = keys.count("num_attention_heads"), keys.count(*LAYERS)
    hidden, many = keys.count("intermediate_size"), keys.count("num_feedforward_networks")
    wide = keys.count("embedding_size", default=128)
    projections = 2 * linear(narrow, narrow, bias=True) + linear(dim, narrow, bias=True)
    bottlenecks = 2 * linear(dim, narrow, bias=True) + linear(narrow, dim, bias=True)
    mixer = softmax(dim, heads, heads, narrow // heads, causal=False)
    own = projections + linear(narrow, narrow, bias=True)
    one = linear(narrow, hidden, bias=True) + linear(hidden, narrow, bias=True)
    feed = Feed(
        activation=keys.word("hidden_act", default="relu"), parameters=many * one,
        always=many * one, width=many * hidden * narrow // dim,
    )  # fmt: skip
    norms = (3 + many) * 2 * narrow + 2 * dim
    layer = Layer(
        mixer=replace(mixer, parameters=own), feed=feed, norm="layer", stack="encoder",
        parameters=norms + bottlenecks,
    )  # fmt: skip
    style = BERT(activation="relu")
    model = encoder(
        keys, style, lambda *_: [mixer] * count, lambda *_: [feed] * count,
        extra=linear(3 * wide, dim, bias=True),
    )  # fmt: skip
    vocab = model.vocab
    return model.having(layers=(layer,) * count, embedding=model.embedding - vocab * (dim - wide),
        head=linear(dim, dim, bias=True) + norm(dim, "layer") + (dim - wide) * vocab + vocab,
        notes=(*model.notes, "bottlenecks and several feed-forwards are taken as one of that cost"),
    )  # fmt: skip


READERS: Mapping[str, Callable[[Keys], Model]] = {
    "modernbert": modernbert, "ultrabert": ultrabert, "esm": esm, "esmc": esmc, "fnet": fnet,
    "nystromformer": nystromformer, "big_bird": big_bird, "xlm": xlm, "flaubert": xlm,
    "deberta": partial(deberta, separate=False), "deberta-v2": partial(deberta, separate=True),
    "mobilebert": mobilebert,
}  # fmt: skip
FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    name: partial(as_saved, family=name, reader=reader) for name, reader in READERS.items()
}
