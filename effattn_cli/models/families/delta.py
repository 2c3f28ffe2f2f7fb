"""Hybrids of attention with delta rules and with lightning attention."""

from collections.abc import Mapping
from functools import partial

from effattn_cli.architecture import Feed, Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import (
    Make,
    every,
    expert_feed,
    feeds,
    kinds,
    mixers,
    plain_feed,
    predictions,
    whole,
)
from effattn_cli.models.keys import Keys
from effattn_cli.models.mixers import named
from effattn_cli.models.pieces import linear, softmax


def gated_delta(keys: Keys, *, given: Mapping[str, Stored] | None = None) -> Mixer:
    """Gated DeltaNet, of whose value heads some share a query and a key."""
    heads, width = keys.count("linear_num_value_heads"), keys.count("linear_key_head_dim")
    shared, value = keys.count("linear_num_key_heads"), keys.count("linear_value_head_dim")
    options: dict[str, Stored] = {} if shared == heads else {"key_heads": shared}
    options |= {} if value == width else {"value_width": value}
    conv = keys.count("linear_conv_kernel_dim")
    options |= {} if conv == 4 else {"conv": conv}
    if heads % shared:
        raise keys.refuse("linear_num_value_heads", f"{shared} key heads do not divide it")
    dim = keys.count("hidden_size")
    return named("gated-deltanet", {**options, **(given or {})}, dim, heads, heads, width)


def attention(keys: Keys, *, gated: bool = False, window: str = "") -> Mixer:
    """Grouped attention with norms of queries and keys; `gated`: on what it gives, each number."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    kv_heads = keys.count("num_key_value_heads", default=heads)
    width = keys.count("head_dim", default=dim // heads)
    biases = keys.flag("attention_bias")
    variant = "gated-attention" if gated else None
    return softmax(
        dim, heads, kv_heads, width, variant=variant, qk_norm="head", qkv_bias=biases,
        kind="sliding_attention" if window else "full_attention", out_bias=biases,
        window=keys.count(window) if window else None, options={"qk_norm": True},
        extra=linear(dim, heads * width, bias=biases) if gated else 0,
    )  # fmt: skip


def every_fourth(keys: Keys, full: str = "full_attention") -> list[str]:
    interval = keys.count("full_attention_interval", default=4)
    return every(keys.count("num_hidden_layers"), interval, full, "linear_attention")


def shared_experts(keys: Keys) -> Feed:
    """Experts, and one that every token meets, which has a gate of one number."""
    shared = keys.count("shared_expert_intermediate_size", default=0, minimum=0)
    extra = keys.count("hidden_size") if shared else 0
    return expert_feed(keys, shared=shared, extra=extra)


def stepped(keys: Keys) -> list[bool]:
    """Experts in every so many layers, but in those that a list names."""
    step = keys.count("decoder_sparse_step", default=1)
    excepted = set(keys.numbers("mlp_only_layers") or ())
    any_at_all = keys.count("num_experts", minimum=0) > 0
    return [
        any_at_all and index not in excepted and (index + 1) % step == 0
        for index in range(keys.count("num_hidden_layers"))
    ]


def qwen(keys: Keys, *, dense: bool = False) -> Model:
    """Three layers of Gated DeltaNet to one of gated attention."""
    if keys.word("mamba_ssm_dtype", default="float32") != "float32":
        raise keys.refuse("mamba_ssm_dtype", "states are in float32 everywhere")
    if not keys.flag("attn_output_gate", default=True):
        raise keys.refuse("attn_output_gate", "the family's attention has a gate")
    makers: dict[str, Make] = {
        "linear_attention": gated_delta, "full_attention": partial(attention, gated=True),
    }  # fmt: skip
    order = kinds(keys, every_fourth(keys))
    half = [plain_feed(keys)] * len(order) if dense else feeds(keys, stepped(keys), shared_experts)
    return whole(keys, mixers(keys, order, makers), half, notes=predictions(keys))


def lara(keys: Keys) -> Model:
    """Gated DeltaNet beside windows and full attention, and experts in every layer."""
    period = ("linear_attention", "sliding_attention", "linear_attention", "full_attention",
              "sliding_attention")  # fmt: skip
    makers: dict[str, Make] = {
        "linear_attention": gated_delta, "full_attention": attention,
        "sliding_attention": partial(attention, window="sliding_window"),
    }  # fmt: skip
    count = keys.count("num_hidden_layers")
    order = kinds(keys, [period[index % 5] for index in range(count)])
    shared = keys.count("shared_expert_intermediate_size", default=0, minimum=0)
    feed = expert_feed(keys, shared=shared)
    return whole(keys, mixers(keys, order, makers), [feed] * len(order), tied=True)


def olmo(keys: Keys) -> Model:
    """Gated DeltaNet whose states change their sign, and attention normed over all heads."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    key_heads = keys.count("linear_num_key_heads", default=heads)
    width = keys.count("linear_key_head_dim", default=int(0.75 * dim / key_heads))
    keys.assume({
        "linear_num_key_heads": key_heads, "linear_key_head_dim": width,
        "linear_num_value_heads": heads, "linear_value_head_dim": 2 * width,
        "linear_conv_kernel_dim": 4, "linear_allow_neg_eigval": True,
    }, derived=True)  # fmt: skip
    given: dict[str, Stored] = {"epsilon": 1e-5}
    given |= {"negative": True} if keys.flag("linear_allow_neg_eigval") else {}
    keys.skip("linear_a_log_max", "linear_a_log_min", "linear_dt_max", "linear_dt_min",
              "linear_dt_init_floor")  # fmt: skip
    kv_heads, biases = keys.count("num_key_value_heads", default=heads), keys.flag("attention_bias")
    full = softmax(
        dim, heads, kv_heads, dim // heads, qk_norm="width", qkv_bias=biases, out_bias=biases
    )
    count = keys.count("num_hidden_layers")
    usual = ["full_attention" if index % 4 == 3 else "linear_attention" for index in range(count)]
    usual[-1:] = usual[-1:] if "full_attention" in usual else ["full_attention"]
    makers: dict[str, Make] = {
        "linear_attention": partial(gated_delta, given=given), "full_attention": lambda _: full,
    }  # fmt: skip
    order = kinds(keys, usual)
    return whole(keys, mixers(keys, order, makers), [plain_feed(keys)] * count)


FAMILIES: Mapping[str, Reader] = {
    "qwen3_next": qwen,
    "qwen3_5_text": partial(qwen, dense=True),
    "qwen3_5_moe_text": qwen,
    "lara_mini": lara,
    "olmo_hybrid": olmo,
}
