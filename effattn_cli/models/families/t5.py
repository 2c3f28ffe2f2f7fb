"""T5 and its kin: biases of relative positions, RMS norms, no other bias."""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from effattn_cli.architecture import Feed, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import experts, linear, norm, softmax
from effattn_cli.models.stacks import (
    NO_BIAS_MEASURED,
    Width,
    both,
    cross,
    decoding,
    encoding,
    feed,
    own,
)


def widths(keys: Keys) -> tuple[Width, Width]:
    """Of the encoder and of the decoder."""
    there = Width(
        dim=keys.count("d_model"), heads=keys.count("num_heads"), head_dim=keys.count("d_kv"),
        hidden=keys.count("d_ff"), layers=keys.count("num_layers"),
    )  # fmt: skip
    count = keys.count("num_decoder_layers", default=there.layers)
    return there, Width(**{**vars(there), "layers": count})


def _buckets(keys: Keys, heads: int) -> int:
    """Numbers of a table of biases."""
    return keys.count("relative_attention_num_buckets", default=32) * heads


def _activation(keys: Keys) -> tuple[str, bool]:
    """Its name, and whether it is gated."""
    first, _, second = keys.word("feed_forward_proj", default="relu").partition("-")
    keys.skip("is_gated_act", "dense_act_fn")
    if second and first != "gated":
        raise keys.refuse("feed_forward_proj", "expected an activation, or gated-ACTIVATION")
    return ("gelu_new" if (first, second) == ("gated", "gelu") else second or first), bool(second)


def t5(keys: Keys, *, in_each: bool = False, tied: bool | None = None, tables: int = 0) -> Model:
    """`in_each`: every layer has a table of biases, not only the first of each stack."""
    there, here = widths(keys)
    name, gated = _activation(keys)
    table = _buckets(keys, there.heads)
    within = table if in_each else 0
    halves = partial(feed, activation=name, gated=gated, bias=False)
    encoder = encoding(
        there.dim, [own(there, causal=False, bias=False, extra=within)] * there.layers,
        [halves(there)] * there.layers, "rms",
    )  # fmt: skip
    decoder = decoding(
        here.dim, [own(here, causal=True, bias=False, extra=within)] * here.layers,
        cross(here, bias=False), [halves(here)] * here.layers, "rms",
    )  # fmt: skip
    model = both(
        keys, encoder, decoder, dim=there.dim, notes=(NO_BIAS_MEASURED,), tables=tables,
        other=2 * norm(there.dim, "rms") + (0 if in_each else 2 * table),
    )  # fmt: skip
    if tied is None or model.tied == tied:
        return model
    return replace(model, tied=tied, head=0 if tied else model.vocab * model.dim)


def longt5(keys: Keys) -> Model:
    """Its encoder sees a window, of which the radius is on either side."""
    kind = keys.word("encoder_attention_type", default="local")
    if kind != "local":
        raise keys.refuse("encoder_attention_type", "sums of blocks as global keys: not known")
    keys.skip("global_block_size")
    model, (there, _) = t5(keys), widths(keys)
    local = softmax(
        there.dim, there.heads, there.heads, there.head_dim, kind="sliding_attention",
        window=2 * keys.count("local_radius", default=127), causal=False,
    )  # fmt: skip
    layers = tuple(
        replace(layer, mixer=local) if layer.stack == "encoder" else layer for layer in model.layers
    )
    return model.having(layers=layers)


def switch_transformers(keys: Keys) -> Model:
    """Some layers choose one expert for a token."""
    model, (there, here) = t5(keys), widths(keys)
    halves = [
        *_sparse(keys, there, keys.count("num_sparse_encoder_layers", default=3, minimum=0)),
        *_sparse(keys, here, keys.count("num_sparse_decoder_layers", default=3, minimum=0)),
    ]
    keys.skip("encoder_sparse_step", "decoder_sparse_step")
    layers = tuple(
        layer if half is None else replace(layer, feed=half)
        for layer, half in zip(model.layers, halves, strict=True)
    )
    return model.having(layers=layers)


def _sparse(keys: Keys, width: Width, many: int) -> list[Feed | None]:
    """The feed-forward of each layer that has experts."""
    bias, count = keys.flag("router_bias"), keys.count("num_experts", default=8)
    half = experts(
        width.dim, width.hidden, _activation(keys)[0], count=count, chosen=1, gated=False,
        router_bias=bias,
    )  # fmt: skip
    step = width.layers // many if many else width.layers
    return [half if step and at % step == 1 % step else None for at in range(width.layers)]


def pop2piano(keys: Keys) -> Model:
    """Its head is never tied; a table of composers stands before the encoder."""
    rows = keys.count("composer_vocab_size", default=21)
    keys.skip("tie_word_embeddings")
    return t5(keys, tied=False, tables=rows * keys.count("d_model"))


def udop(keys: Keys) -> Model:
    """Pictures and places of words: patches of each stack, and tables of places."""
    dim, heads = keys.count("d_model"), keys.count("num_heads")
    kinds = [
        one.get("type") for one in keys.items("relative_bias_args") or [] if isinstance(one, dict)
    ]
    if kinds != ["1d", "horizontal", "vertical"]:
        raise keys.refuse("relative_bias_args", "only 1d, horizontal and vertical are understood")
    patches = linear(keys.count("num_channels", default=3) * keys.count("patch_size") ** 2, dim,
                     bias=True)  # fmt: skip
    rows = 2 * keys.count("max_2d_position_embeddings", default=1024)
    model = t5(keys, tied=True, tables=rows * dim)
    places = 4 * 32 * heads  # of rows and columns, in each stack
    return replace(model, other=model.other + 2 * patches + places)


def alone(keys: Keys, reader: Callable[[Keys], Model]) -> Model:
    """The model, or its encoder where the file says that this alone was saved."""
    model, names = reader(keys), keys.items("architectures") or []
    if not (names and isinstance(names[0], str) and names[0].endswith("EncoderModel")):
        return model
    layers = tuple(layer for layer in model.layers if layer.stack == "encoder")
    return model.having(layers=layers, head=0, tied=False, other=model.other // 2)


FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    "t5": partial(alone, reader=t5),
    "mt5": partial(alone, reader=t5),
    "umt5": partial(alone, reader=partial(t5, in_each=True)),
    "longt5": partial(alone, reader=longt5),
    "switch_transformers": switch_transformers,
    "pop2piano": pop2piano,
    "udop": udop,
}
