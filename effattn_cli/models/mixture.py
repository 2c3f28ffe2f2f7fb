"""Feed-forwards of which some are mixtures of experts."""

from collections.abc import Callable
from dataclasses import dataclass

from effattn_cli.architecture import Feed
from effattn_cli.models.decoder import ACTIVATION, DIM, WIDTH, FeedHalves, Style, feed_bias
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import LAYERS
from effattn_cli.models.pieces import dense, experts

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "moe_k",
          "moe_top_k", "top_k_experts")  # fmt: skip
SHARED = ("num_shared_experts", "n_shared_experts", "moe_num_shared_experts")
KINDS = {"dense": True, "sparse": False}

#: Says of each layer whether it is dense.
Dense = Callable[[Keys, int], list[bool]]


def first(usual: int, *names: str) -> Dense:
    """The first few layers are dense; `names`: keys that say how many."""

    def dense(keys: Keys, count: int) -> list[bool]:
        few = keys.count(*names, default=usual, minimum=0) if names else usual
        made = [layer < few for layer in range(count)]
        if keys.get("moe_layer_freq", default=1) not in (1, [int(not plain) for plain in made]):
            raise keys.refuse("moe_layer_freq", f"the family has experts in all layers from {few}")
        return made

    return dense


def stepped(keys: Keys, count: int) -> list[bool]:
    """As Qwen2-MoE: every so many layers have experts, and a list names those that do not."""
    step = keys.count("decoder_sparse_step", default=1)
    excepted = set(keys.numbers("mlp_only_layers") or ())
    none = not keys.count(*EXPERTS, minimum=0)
    return [none or layer in excepted or bool((layer + 1) % step) for layer in range(count)]


def nowhere(_: Keys, count: int) -> list[bool]:
    """No layer is dense."""
    return [False] * count


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """How a family's code builds its experts."""

    dense: Dense = nowhere
    width: tuple[str, ...] = ("moe_intermediate_size", "expert_ffn_hidden_size")
    dense_width: tuple[str, ...] = WIDTH
    shared_width: tuple[str, ...] = ()  # keys that say it; else experts' widths times their number
    shared_count: int | None = None  # where no key says it
    shared_gate: bool = False
    router_bias: bool = False
    bias: bool = False  # of the experts
    corrected: bool = False  # the router has a learned correction for each expert


PLAIN = Mixture(width=WIDTH, shared_count=0)  # each layer has experts alone, of the usual width


def mixture(how: Mixture) -> FeedHalves:
    """The feed-forwards of a family."""

    def feeds(keys: Keys, style: Style) -> list[Feed]:
        plain = layer_kinds(keys, how.dense)
        made: dict[bool, Feed] = {}
        if True in plain:
            made[True] = _dense(keys, style, how)
        if False in plain:
            made[False] = _experts(keys, style, how)
        return [made[kind] for kind in plain]

    return feeds


def layer_kinds(keys: Keys, usual: Dense) -> list[bool]:
    """Of each layer whether it is dense: from `mlp_layer_types`, or as is usual."""
    count = keys.count(*LAYERS)
    kinds, otherwise = keys.words("mlp_layer_types"), usual(keys, count)
    if kinds is None:
        return otherwise
    if len(kinds) != count or set(kinds) - set(KINDS):
        raise keys.refuse("mlp_layer_types", f"expected {count} of dense and sparse")
    return [KINDS[kind] for kind in kinds]


def uniform(keys: Keys, *names: str, default: int | None = None) -> int:
    """A whole number, or the one that a list has for each layer."""
    value = keys.get(*names)
    if not isinstance(value, list):
        return keys.count(*names, default=default)
    if len(set(map(str, value))) != 1 or not isinstance(value[0], int):
        raise keys.refuse(keys.named(*names), "expected one number for all layers")
    return value[0]


def _dense(keys: Keys, style: Style, how: Mixture) -> Feed:
    return dense(
        keys.count(*DIM), keys.count(*how.dense_width),
        keys.word(*ACTIVATION, default=style.activation), gated=style.gated,
        bias=feed_bias(keys, style),
    )  # fmt: skip


def _experts(keys: Keys, style: Style, how: Mixture) -> Feed:
    dim, width, count = keys.count(*DIM), keys.count(*how.width), keys.count(*EXPERTS)
    return experts(
        dim, width, keys.word(*ACTIVATION, default=style.activation), count=count,
        chosen=uniform(keys, *CHOSEN), shared=_shared(keys, how, width), gated=style.gated,
        bias=how.bias or feed_bias(keys, style), router_bias=how.router_bias,
        extra=count if how.corrected else 0, shared_gate=how.shared_gate,
    )  # fmt: skip


def _shared(keys: Keys, how: Mixture, width: int) -> int:
    """Hidden units of the shared experts."""
    if how.shared_width:
        return keys.count(*how.shared_width, default=0, minimum=0)
    if how.shared_count is not None:
        return how.shared_count * width
    return keys.count(*SHARED, default=0, minimum=0) * width
