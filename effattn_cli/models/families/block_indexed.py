"""Attention to blocks that an index finds: MiniMax-M3 and Qwen4-Exp."""

from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from effattn_cli.architecture import Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.families.delta import (
    attention,
    every_fourth,
    gated_delta,
    shared_experts,
)
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import (
    Make,
    expert_feed,
    feeds,
    kinds,
    mixers,
    plain_feed,
    predictions,
    sparse_layers,
    whole,
)
from effattn_cli.models.keys import Keys
from effattn_cli.models.mixers import named
from effattn_cli.models.pieces import linear, norm, softmax


def minimax_m3(keys: Keys) -> Model:
    """Grouped attention, in most layers to the blocks that an index finds."""
    usual = ["full_attention"] * keys.count("num_hidden_layers")
    if keys.get("sparse_attention_config") is not None:  # as the original file has it
        usual = originally(keys.part("sparse_attention_config"), keys, usual)
    makers = {"full_attention": attention, "minimax_m3_sparse": chosen_blocks}
    order = kinds(keys, usual)
    if "moe_intermediate_size" in keys and keys.count("moe_intermediate_size") != keys.count(
        "intermediate_size"
    ):
        raise keys.refuse("moe_intermediate_size", "experts are as wide as intermediate_size")
    if keys.flag("attention_output_gate") or not keys.flag("use_qk_norm", default=True):
        raise keys.refuse("attention_output_gate", "norms, and no gate, are known of the family")
    keys.skip("qk_norm_type", "n_shared_experts")
    sparse = sparse_layers(keys)
    shared = keys.count("shared_intermediate_size")
    mixed = expert_feed(keys, width=("intermediate_size",), shared=shared)
    plain = plain_feed(keys, "dense_intermediate_size")
    half = [mixed if is_sparse else plain for is_sparse in sparse]
    notes = ["norms of q and k of block-indexed layers are counted as weights, and not measured"]
    made = mixers(keys, order, makers)
    notes = [*(notes if "minimax_m3_sparse" in order else []), *predictions(keys)]
    return whole(keys, made, half, notes=notes)


def chosen_blocks(keys: Keys) -> Mixer:
    """An index head for each kv head, whose blocks are as good as their best token."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    kv_heads, ours = keys.count("num_key_value_heads"), keys.count("index_n_heads")
    if ours != kv_heads:
        raise keys.refuse("index_n_heads", f"it is not one for each of {kv_heads} kv heads")
    if keys.count("index_local_blocks") != 1:
        raise keys.refuse("index_local_blocks", "the catalogue's variant has one local block")
    options: dict[str, Stored] = {
        "block": keys.count("index_block_size"), "top": keys.count("index_topk_blocks"),
        "index_width": keys.count("index_head_dim"),
    }  # fmt: skip
    width = keys.count("head_dim")
    mixer = named("block-indexed", options, dim, heads, kv_heads, width)
    more = 2 * width + 2 * keys.count("index_head_dim")  # norms of q and k, and of the index's
    return replace(mixer, parameters=mixer.parameters + more)


def originally(part: Keys, keys: Keys, usual: list[str]) -> list[str]:
    """Takes over what the part says of the index; the kinds of layers."""
    names = {
        "index_n_heads": "sparse_num_index_heads", "index_head_dim": "sparse_index_dim",
        "index_block_size": "sparse_block_size", "index_topk_blocks": "sparse_topk_blocks",
        "index_local_blocks": "sparse_local_block",
    }  # fmt: skip
    values = {ours: part.get(name) for ours, name in names.items() if name in part}
    keys.assume(values, derived=True)
    if part.get("sparse_init_block"):
        raise part.refuse("sparse_init_block", "the catalogue's variant has no first block")
    part.skip("use_sparse_attention", "sparse_score_type", "sparse_disable_index_value")
    often = part.numbers("sparse_attention_freq")
    if often is None:
        return usual
    if len(often) != len(usual):
        raise part.refuse("sparse_attention_freq", f"{len(often)} kinds for {len(usual)} layers")
    return ["minimax_m3_sparse" if there else "full_attention" for there in often]


def qwen4(keys: Keys) -> Model:
    """Three layers of Gated DeltaNet to one of gated attention to blocks that an index finds."""
    if keys.get("ple_layer_ids"):
        raise keys.refuse("ple_layer_ids", "embeddings of n-grams are not understood")
    keys.skip("ple_embed_dim", "ple_conv_kernel_size", "heads_per_ngram", "split_ngram_parts")
    keys.skip("number_of_conv_states")
    gate = keys.word("output_gate_type", default="silu")
    if gate not in {"silu", "sigmoid"}:
        raise keys.refuse("output_gate_type", "the catalogue's variant has silu and sigmoid")
    given: dict[str, Stored] = {} if gate == "silu" else {"gate": gate}
    makers: dict[str, Make] = {
        "linear_attention": partial(gated_delta, given=given), "indexed_attention": pooled_blocks,
    }  # fmt: skip
    order = kinds(keys, every_fourth(keys, "indexed_attention"))
    order = ["indexed_attention" if kind == "full_attention" else kind for kind in order]
    half = feeds(keys, [True] * len(order), shared_experts)
    dim, count, rank = (keys.count(name) for name in ("hidden_size", "hc_count", "hc_lowrank"))
    stream = count * dim
    mixing = norm(stream, "rms") + 2 * stream * rank
    notes = [
        f"what mixes {count} streams between layers is counted as weights, not measured",
        "gates and norms of block-indexed layers are counted as weights, and not measured",
    ]
    return whole(
        keys, mixers(keys, order, makers), half, norms=0, outside=2 * (mixing + count * stream),
        other=mixing - dim, notes=[*notes, *predictions(keys)],
    )  # fmt: skip


def pooled_blocks(keys: Keys) -> Mixer:
    """Blocks by the means of their index keys, the same for all kv heads."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    kv_heads = keys.count("num_key_value_heads", default=heads)
    if keys.count("indexer_kv_heads") != 1:
        raise keys.refuse("indexer_kv_heads", "the catalogue's variant has one index key a token")
    block, budget = keys.count("indexer_compress_ratio"), keys.count("indexer_budget")
    ours, width = keys.count("indexer_n_heads"), keys.count("indexer_head_dim")
    full = softmax(
        dim, heads, kv_heads, keys.count("head_dim"), qk_norm="head",
        extra=linear(dim, heads * keys.count("head_dim")),
    )  # fmt: skip
    index = linear(dim, (ours + 1) * width) + 2 * width
    options: dict[str, Stored] = {"block": block, "top": budget // block, "pool": "mean",
                                  "index_heads": ours, "index_width": width}  # fmt: skip
    mixer = named("block-indexed", options, dim, heads, kv_heads, keys.count("head_dim"))
    return replace(mixer, kind="indexed_attention", parameters=full.parameters + index)


FAMILIES: Mapping[str, Reader] = {
    **dict.fromkeys(("minimax_m3_vl_text", "minimax_m3"), minimax_m3),
    "qwen4_exp_text": qwen4,
}
