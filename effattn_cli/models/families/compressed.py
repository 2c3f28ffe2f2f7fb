"""DeepSeek-V4: windows, and entries for several tokens before them."""

from collections.abc import Mapping

from msgspec.structs import replace

from effattn_cli.architecture import Kept, Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.families.latent import streams
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import (
    expert_feed,
    kinds,
    mixers,
    predictions,
    whole,
)
from effattn_cli.models.keys import Keys
from effattn_cli.models.mixers import named
from effattn_cli.models.pieces import linear

SPARSE, HEAVY, NEAR = (
    "compressed_sparse_attention", "heavily_compressed_attention", "sliding_attention",
)  # fmt: skip
BY_RATIO: Mapping[object, str] = {0: NEAR, 4: SPARSE, 128: HEAVY}


def deepseek_v4(keys: Keys) -> Model:
    """Windows of rows, and before them entries for 4 tokens that an index chooses, or for 128."""
    if keys.count("num_key_value_heads", default=1) != 1:
        raise keys.refuse("num_key_value_heads", "the family has one row for all heads")
    for name in ("attention_bias", "mlp_bias"):
        if keys.flag(name):
            raise keys.refuse(name, "biases are not known of this family")
    order = kinds(keys, ratios(keys))
    made = mixers(keys, order, {SPARSE: csa, HEAVY: hca, NEAR: near})
    keys.skip("mlp_layer_types", "num_hash_layers", "compress_rope_theta", "qk_rope_head_dim")
    half = [expert_feed(keys, width=("moe_intermediate_size", "intermediate_size"))] * len(order)
    mixing = streams(keys, combined=True)
    notes = [*mixing.pop("notes"), *predictions(keys)]
    if NEAR in order:
        notes.append("layers with a window alone are measured with keys and values apart")
    return whole(keys, made, half, notes=notes, **mixing)


def ratios(keys: Keys) -> list[str]:
    """Kinds of layers by the tokens of an entry, 0 for none; or two of 128, then 4 and 128."""
    count, given = keys.count("num_hidden_layers"), keys.numbers("compress_ratios")
    if given is None:
        return [SPARSE if index > 2 and index % 2 else HEAVY for index in range(count)]
    if wrong := [ratio for ratio in given if ratio not in BY_RATIO]:
        raise keys.refuse("compress_ratios", f"{wrong[0]!r} is none of 0, 4 and 128")
    if len(given) < count:
        raise keys.refuse("compress_ratios", f"{len(given)} ratios for {count} layers")
    return [BY_RATIO[ratio] for ratio in given[:count]]  # predicting layers come last


def rows(keys: Keys) -> dict[str, Stored]:
    """The options that both compressed variants share."""
    return {
        "window": keys.count("sliding_window"), "query_rank": keys.count("q_lora_rank"),
        "out_groups": keys.count("o_groups"), "out_rank": keys.count("o_lora_rank"),
    }  # fmt: skip


def tokens_of_entry(keys: Keys, kind: str, older: str, usual: int) -> int:
    """By the kind of the layer, or by a key of earlier files."""
    rates = keys.get("compress_rates", default={})
    ratio = rates.get(kind, usual) if isinstance(rates, dict) else usual
    return keys.count(older, default=ratio)


def hca(keys: Keys) -> Mixer:
    """An entry for every 128 tokens, all of which are attended."""
    ratio = tokens_of_entry(keys, HEAVY, "compress_rate_hca", 128)
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    options = {**rows(keys), "ratio": ratio}
    return named("hca", options, dim, heads, heads, keys.count("head_dim"))


def csa(keys: Keys) -> Mixer:
    """An entry for every 4 tokens, among which an index chooses."""
    options = {
        **rows(keys), "ratio": tokens_of_entry(keys, SPARSE, "compress_rate_csa", 4),
        "top": keys.count("index_topk"), "index_heads": keys.count("index_n_heads"),
        "index_width": keys.count("index_head_dim"),
    }  # fmt: skip
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    mixer = named("csa", options, dim, heads, heads, keys.count("head_dim"))
    # Engines keep what the next entry pools of one window; effattn's layer keeps both in full.
    halved = (
        replace(item, numbers=item.numbers // 2) if item.what == "recurrent state" else item
        for item in mixer.keeps
    )
    return replace(mixer, keeps=tuple(halved))


def near(keys: Keys) -> Mixer:
    """A window of rows that are keys and values of all heads, and sinks."""
    dim, heads, width = (keys.count(name) for name in ("hidden_size", "num_attention_heads",
                                                       "head_dim"))  # fmt: skip
    rank, groups, out = (keys.count(name) for name in ("q_lora_rank", "o_groups", "o_lora_rank"))
    channels = heads * width
    parameters = linear(dim, rank) + rank + linear(rank, channels) + linear(dim, width) + width
    parameters += linear(channels, out) + linear(groups * out, dim) + heads
    window = keys.count("sliding_window")
    return Mixer(
        kind=NEAR, variant="sliding-window", options={"window": window, "sinks": "learned"},
        heads=heads, kv_heads=1, head_dim=width, parameters=parameters,
        keeps=(Kept(what="kv cache", numbers=width, every=1, max_tokens=window),),
    )  # fmt: skip


FAMILIES: Mapping[str, Reader] = {
    "deepseek_v4": deepseek_v4,
}
