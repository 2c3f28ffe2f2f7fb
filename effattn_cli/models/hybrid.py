"""Models whose layers differ in kind: the order of kinds, the halves of each, and the whole."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from effattn_cli.architecture import Feed, Layer, Mixer, Model
from effattn_cli.errors import UsageError
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, experts, norm
from effattn_cli.setting import Norm
from effattn_cli.units import number

LAYERS, POSITIONS = "num_hidden_layers", ("max_position_embeddings", "model_max_length")
#: Names of kinds in files from before transformers agreed on its own.
RENAMED: Mapping[str, str] = {
    "mamba": "linear_attention",
    "attention": "full_attention",
    "deepseek_sparse_attention": "indexed_attention",
    "qwen_sparse_attention": "indexed_attention",
}
#: Keys that say how weights are stored or trained, or what a library does with them.
ASIDE = ("expert_dtype", "indexer_rope_interleave", "index_share_for_mtp_iteration",
         "mtp_use_dedicated_embeddings", "num_mtp_modules", "use_routing_bias")  # fmt: skip
#: Makes the mixer of layers of a kind; None where they have none.
Make = Callable[[Keys], Mixer | None]


def kinds(
    keys: Keys,
    usual: str | Sequence[str],
    *names: str,
    renamed: Mapping[str, str] = RENAMED,
) -> list[str]:
    """The kind of each layer: from the first of these keys, `layer_types` unless given, or what is
    usual of all of them, or of each.

    Raises:
        UsageError: there are not as many kinds as layers.
    """
    names = names or ("layer_types",)
    count, given = keys.count(LAYERS), keys.items(*names)
    if given is None:
        return [usual] * count if isinstance(usual, str) else list(usual)
    if len(given) != count:
        raise keys.refuse(names[0], f"{len(given)} kinds for {count} layers")
    return [renamed.get(kind, kind) if isinstance(kind, str) else str(kind) for kind in given]


def mixers(keys: Keys, order: Sequence[str], makers: Mapping[str, Make]) -> list[Mixer | None]:
    """The mixer of each layer, made as its kind is.

    Raises:
        UsageError: a kind is not one of the family's.
    """
    if wrong := [kind for kind in order if kind not in makers]:
        valid = ", ".join(makers)
        raise keys.refuse("layer_types", f"{wrong[0]!r} is not one of the family's: {valid}")
    for kind in set(makers) - set(order):
        with suppress(UsageError):  # keys of a kind that no layer has are of no account
            makers[kind](keys)
    made = {kind: makers[kind](keys) for kind in dict.fromkeys(order)}
    return [made[kind] for kind in order]


def sparse_layers(keys: Keys, first: int = 0) -> list[bool]:
    """Which layers have experts: from `mlp_layer_types`, or all but the first few."""
    count, given = keys.count(LAYERS), keys.items("mlp_layer_types")
    few = keys.count("first_k_dense_replace", default=first, minimum=0)
    every = keys.get("moe_layer_freq", default=1)
    if given is not None:
        is_sparse = {"dense": False, "sparse": True}
        if len(given) != count or set(map(str, given)) - set(is_sparse):
            raise keys.refuse("mlp_layer_types", f"expected {count} of dense and sparse")
        return [is_sparse[kind] for kind in given]
    if isinstance(every, list):
        freq = keys.numbers("moe_layer_freq") or []
        if len(freq) != count:
            raise keys.refuse("moe_layer_freq", f"{len(freq)} numbers for {count} layers")
        return [bool(item) and index >= few for index, item in enumerate(freq)]
    step = keys.count("moe_layer_freq", default=1)
    return [index >= few and index % step == 0 for index in range(count)]


def plain_feed(keys: Keys, *names: str, activation: str = "silu", bias: bool = False) -> Feed:
    """A gated feed-forward as wide as the first of these keys says."""
    dim, width = keys.count("hidden_size"), keys.count(*(names or ("intermediate_size",)))
    name = keys.word("hidden_act", "hidden_activation", default=activation)
    return dense(dim, width, name, gated=True, bias=bias)


EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts")
CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk")
SHARED = ("n_shared_experts", "num_shared_experts")


def expert_feed(
    keys: Keys,
    *,
    width: Sequence[str] = ("moe_intermediate_size",),
    shared: int | None = None,
    extra: int = 0,
) -> Feed:
    """Gated experts. `shared`: hidden units that every token meets, of as many experts as the
    config says unless given; `extra`: parameters that every token meets besides.
    """
    dim, hidden = keys.count("hidden_size"), keys.count(*width)
    keys.skip("moe_renormalize", "num_expert_group", "moe_router_activation_func")
    if shared is None:
        shared = keys.count(*SHARED, default=0, minimum=0) * hidden
    return experts(
        dim, hidden, keys.word("hidden_act", default="silu"), count=keys.count(*EXPERTS),
        chosen=keys.count(*CHOSEN), shared=shared, extra=extra,
    )  # fmt: skip


def feeds(keys: Keys, sparse: Sequence[bool], sparse_feed: Callable[[Keys], Feed]) -> list[Feed]:
    """A dense feed-forward, or experts, in each layer; what no layer has is not asked for."""
    plain = plain_feed(keys) if not all(sparse) else None
    mixed = sparse_feed(keys) if any(sparse) else None
    made = [mixed if is_sparse else plain for is_sparse in sparse]
    return [feed for feed in made if feed is not None]


def whole(
    keys: Keys,
    mixers: Sequence[Mixer | None],
    feeds: Sequence[Feed | None],
    *,
    norms: int = 2,
    outside: Sequence[int] | int = 0,
    tied: bool = False,
    headless: bool = False,
    other: int = 0,
    norm_kind: Norm = "rms",
    notes: Sequence[str] = (),
    dim: int | None = None,
) -> Model:
    """The model of these halves.

    `norms`: of each layer, as wide as the stream; `outside`: parameters of layers beside halves
    and norms; `other`: beside layers, embedding, head and final norm; `headless`: the class of a
    part, whose head is the whole model's.
    """
    keys.skip(*ASIDE)
    dim, vocab = dim or keys.count("hidden_size"), keys.count("vocab_size")
    beside = [outside] * len(mixers) if isinstance(outside, int) else outside
    layers = tuple(
        Layer(mixer=mixer, feed=feed, norm=norm_kind, parameters=norms * norm(dim, norm_kind) + own)
        for mixer, feed, own in zip(mixers, feeds, beside, strict=True)
    )
    tied = keys.flag("tie_word_embeddings", default=tied)
    return Model.of(
        name="", family="", dim=dim, layers=layers, vocab=vocab, embedding=vocab * dim,
        head=0 if tied or headless else vocab * dim, tied=tied, other=norm(dim, norm_kind) + other,
        context=keys.count(*POSITIONS, default=0, minimum=0) or None, notes=tuple(notes),
    )  # fmt: skip


def predictions(keys: Keys) -> list[str]:
    """That layers which predict further tokens are left out, where there are some."""
    few: Any = keys.get("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers")
    return [f"{number(few, 'layer')} for predicting further tokens left out"] if few else []


def a_width(keys: Keys, factor: str, width: int) -> None:
    """That a width which follows from a factor is one.

    Raises:
        UsageError: it is none, or beyond what any model has.
    """
    if not 1 <= width <= 2**31:
        raise keys.refuse(factor, "there is no layer of such a width")


def nothing(keys: Keys) -> None:
    """Of layers without a mixer."""


def every(count: int, step: int, kind: str, other: str) -> list[str]:
    """A kind in every so many layers, counted from one, and another in the rest."""
    return [kind if (index + 1) % step == 0 else other for index in range(count)]
