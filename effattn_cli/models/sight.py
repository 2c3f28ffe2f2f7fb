"""Encoders of pictures: patches, a few tokens beside them, layers as in a text's encoder."""

from dataclasses import dataclass

from effattn_cli.architecture import Feed, Layer, Mixer, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, linear, norm, softmax
from effattn_cli.setting import Norm


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is fixed by a family's code, or is its usual value where a config leaves it out."""

    tokens: int = 1  # beside the patches, as [CLS]
    positions: bool = True  # whether there is a table of them, for patches and tokens
    patch_bias: bool = True
    norm: Norm = "layer"
    qkv_bias: bool = True
    key_bias: bool = True  # where queries have one
    out_bias: bool = True
    feed_bias: bool = True
    gated: bool = False
    activation: str = "gelu"
    scales: int = 0  # vectors in a layer by which its halves are multiplied
    before: bool = False  # a norm before the layers
    final: bool = True  # a norm behind them
    classes: int = 0  # widths of the stream that the classifier reads; 0: there is none
    pooler: bool = False


def square(keys: Keys, name: str, default: int | None = None) -> tuple[int, int]:
    """Height and width: one number, or two."""
    given = keys.get(name)
    if isinstance(given, list) and len(given) == 2 and all(isinstance(n, int) for n in given):
        return given[0], given[1]
    side = keys.count(name, default=default)
    return side, side


def patches(keys: Keys, image: int | None = None, patch: int | None = None) -> tuple[int, int]:
    """How many patches a picture has, and how many numbers a patch."""
    (high, wide), (tall, broad) = (
        square(keys, "image_size", image),
        square(keys, "patch_size", patch),
    )
    channels = keys.count("num_channels", default=3)
    return (high // tall) * (wide // broad), channels * tall * broad


def labels(keys: Keys) -> int:
    """Classes that a classifier tells apart: two where the config does not say."""
    names = keys.get("id2label")
    return len(names) if isinstance(names, dict) and names else keys.count("num_labels", default=2)


def mixer(keys: Keys, style: Sight, dim: int) -> Mixer:
    heads = keys.count("num_attention_heads")
    if dim % heads:
        raise keys.refuse("num_attention_heads", f"{dim} is no multiple of it")
    width = keys.count("head_dim", default=dim // heads)
    bias = keys.flag("qkv_bias", "attention_bias", default=style.qkv_bias)
    return softmax(
        dim, heads, heads, width, qkv_bias=bias, out_bias=style.out_bias, causal=False,
        extra=-dim if bias and not style.key_bias else 0,
    )  # fmt: skip


def expanded(keys: Keys, dim: int) -> int:
    """Hidden units of a feed-forward, as a multiple of the stream's width."""
    return max(int(dim * (keys.number("mlp_ratio") or 4)), 1)


def half(keys: Keys, style: Sight, dim: int) -> Feed:
    hidden = keys.count("intermediate_size", default=expanded(keys, dim))
    activation = keys.word("hidden_act", default=style.activation)
    bias = keys.flag("mlp_bias", default=style.feed_bias)
    return dense(dim, hidden, activation, gated=style.gated, bias=bias)


def sight(
    keys: Keys,
    style: Sight,
    *,
    grid: tuple[int, int] | None = None,
    attention: Mixer | None = None,
    feed: Feed | None = None,
    learned: int | None = None,
    extra: int = 0,
) -> Model:
    """The model of a config.

    `grid` is how many patches there are and how many numbers each has, where the usual keys do not
    tell; `learned` counts rows of the table of positions and of tokens, where these are others;
    `extra` counts parameters outside of the layers.
    """
    dim, count = keys.count("hidden_size"), keys.count("num_hidden_layers")
    number, numbers = grid or patches(keys)
    one = norm(dim, style.norm)
    layer = Layer(
        mixer=attention or mixer(keys, style, dim), feed=feed or half(keys, style, dim),
        norm=style.norm, parameters=2 * one + style.scales * dim, stack="encoder",
    )  # fmt: skip
    rows = style.tokens + (number + style.tokens if style.positions else 0)
    other = linear(numbers, dim, bias=style.patch_bias) + (style.before + style.final) * one
    other += linear(dim, dim, bias=True) if style.pooler else 0
    return Model.of(
        name="", family="", dim=dim, layers=(layer,) * count, vocab=0,
        embedding=(rows if learned is None else learned) * dim, other=other + extra,
        head=linear(style.classes * dim, labels(keys), bias=True) if style.classes else 0,
        context=number + style.tokens,
    )  # fmt: skip
