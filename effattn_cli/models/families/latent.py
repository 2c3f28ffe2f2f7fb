"""Decoders with multi-head latent attention, some with an index of the tokens to attend."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import (
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
from effattn_cli.models.mixers.indexed import index_of_pools
from effattn_cli.models.pieces import linear

NARROW = (
    "the variant dsa makes queries by one projection, and its values are as wide as the part of a"
    " key without position"
)
#: What a family has beside its latent attention, in parameters.
Extra = Callable[[Keys], int]


def latent(keys: Keys, *, extra: Extra | None = None, turned: bool = True) -> Mixer:
    """Latent attention; where nothing is turned, a key has its whole width from the latent."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    rank = keys.count("q_lora_rank", default=0, minimum=0)
    rope, nope = keys.count("qk_rope_head_dim", minimum=0), keys.count("qk_nope_head_dim")
    rope, nope = (rope, nope) if turned else (0, nope + rope)
    width, value = keys.count("kv_lora_rank"), keys.count("v_head_dim")
    if keys.count("num_key_value_heads", default=heads) != heads:
        raise keys.refuse("num_key_value_heads", f"latent attention has one for each of {heads}")
    keys.skip("head_dim", "qk_head_dim")
    options: dict[str, Stored] = {"latent": width, "rope": rope}
    options |= {} if value == nope else {"value": value}
    options |= {"query_rank": rank} if rank else {}
    mixer = named("mla", options, dim, heads, heads, nope)
    biases = (rank + width + rope + dim) if keys.flag("attention_bias") else 0
    more = biases + (extra(keys) if extra else 0)
    return replace(mixer, parameters=mixer.parameters + more)


def indexed(
    keys: Keys,
    *,
    shared: bool,
    extra: Extra | None = None,
    turned: bool = True,
    from_x: bool = False,
) -> Mixer:
    """Latent attention to the tokens that an index finds: its own, or a `shared` one of a layer
    before. `from_x`: its queries are made of the token itself, not of the queries' rank.
    """
    plain = latent(keys, extra=extra, turned=turned)
    dim, rank = keys.count("hidden_size"), keys.count("q_lora_rank", default=0, minimum=0)
    heads, width = keys.count("index_n_heads"), keys.count("index_head_dim")
    options = {name: plain.options[name] for name in ("latent", "rope")}
    options |= {"over": "mla", "top": keys.count("index_topk"), "index_heads": heads,
                "index_width": width}  # fmt: skip
    pool = keys.count("index_kpool", default=1)
    options |= {"pool": pool} if pool > 1 else {}
    if shared:
        return replace(
            plain, kind="indexed_attention", variant="dsa", options={**options, "shared": True}
        )
    own = linear(dim if from_x else rank, heads * width) + linear(dim, width + heads) + 2 * width
    more, keys_kept = index_of_pools(dim, width, pool)
    return replace(
        plain, kind="indexed_attention", variant="dsa", options=options,
        parameters=plain.parameters + own + more, keeps=(*plain.keeps, *keys_kept),
    )  # fmt: skip


def shares(keys: Keys, usual: int = 1) -> list[bool]:
    """Which layers go by the index of a layer before."""
    count, given = keys.count("num_hidden_layers"), keys.items("indexer_types")
    pattern = keys.word("index_topk_pattern")
    every = keys.count("index_topk_freq", default=usual)
    offset = keys.count("index_skip_topk_offset", default=2, minimum=0)
    if given is None and pattern:
        given = [{"F": "full", "S": "shared"}.get(letter, letter) for letter in pattern]
    if given is None:
        return [max(index - offset + 1, 0) % every > 0 for index in range(count)]
    if len(given) != count or set(map(str, given)) - {"full", "shared"}:
        raise keys.refuse("indexer_types", f"expected {count} of full and shared")
    return [kind == "shared" for kind in given]


def decoder(
    keys: Keys,
    *,
    kind: str = "full_attention",
    first: int = 0,
    every: int = 1,
    dense: bool = False,
    tied: bool = False,
    extra: Extra | None = None,
    beside: Callable[[Keys], Mapping[str, Any]] | None = None,
    experts_extra: Extra | None = None,
) -> Model:
    """All layers of one kind. `first`: dense layers, and `every`: layers to an index, unless the
    config says; `dense`: none has experts; `beside`: what `whole` is told besides.
    """
    made: Mapping[str, Any] = beside(keys) if beside else {}
    count = keys.count("num_hidden_layers")
    order = [kind] * count if dense else kinds(keys, kind)
    mixing = mixers(keys, order, {kind: partial(latent, extra=extra)})
    if kind == "indexed_attention":
        both = {shared: indexed(keys, shared=shared, extra=extra) for shared in (False, True)}
        mixing = [both[shared] for shared in shares(keys, every)]
    if dense:
        half = [plain_feed(keys, bias=keys.flag("mlp_bias"))] * count
    else:
        keys.skip("mlp_bias")  # of a family that has experts no matrix has one
        more = experts_extra(keys) if experts_extra else 0
        half = feeds(keys, sparse_layers(keys, first), lambda keys: expert_feed(keys, extra=more))
    notes = [*predictions(keys), *([NARROW] if kind == "indexed_attention" else [])]
    notes += made.get("notes", [])
    rest = {name: value for name, value in made.items() if name != "notes"}
    return whole(keys, mixing, half, tied=tied, notes=notes, **rest)


def gates_of_norms(keys: Keys) -> dict[str, Any]:
    """A.X-K2: norms have a gate by way of a rank; the second of a dense layer has none."""
    gate = 2 * keys.count("hidden_size") * keys.count("gated_norm_rank")
    outside = [gate * (1 + sparse) for sparse in sparse_layers(keys, 1)]
    notes = ["gates of attention and of norms are counted as weights, and not measured"]
    return {"outside": outside, "notes": notes}


def gate_of_heads(keys: Keys) -> int:
    """A.X-K2: a gate as wide as the values, of the queries' rank; queries of a rank twice as wide.

    Both are one matrix there, of the rank beside another of the same width.
    """
    rank, heads = keys.count("q_lora_rank"), keys.count("num_attention_heads")
    queries = keys.count("qk_nope_head_dim") + keys.count("qk_rope_head_dim")
    return heads * rank * (queries + 2 * keys.count("v_head_dim"))


def streams(keys: Keys, *, combined: bool) -> dict[str, Any]:
    """Several streams between layers: each half mixes them by matrices that tokens make."""
    keys.skip("hc_sinkhorn_iters", "hc_eps", "hc_magnitude")
    dim, count = keys.count("hidden_size"), keys.count("hc_mult")
    rows = 2 * count + (count * count if combined else 0)
    half = rows * (count * dim + 1) + (3 if combined else 2)
    return {
        "outside": 2 * half, "other": count * (count * dim + 1) + 1,
        "notes": [f"what mixes {count} streams between layers is counted as weights, not measured"],
    }  # fmt: skip


def hy_v4(keys: Keys) -> dict[str, Any]:
    made = streams(keys, combined=False)
    more = "sinks and the gate of attention are counted as weights, and not measured"
    return {**made, "notes": [*made["notes"], more]}


def hy_v4_part(keys: Keys) -> dict[str, Any]:
    """The decoder of a model that sees, whose head is the whole model's."""
    return {**hy_v4(keys), "headless": True}


def sinks_and_gate(keys: Keys) -> int:
    """Hy-V4: a sink for each head, and a gate as wide as the values."""
    heads = keys.count("num_attention_heads")
    return heads + keys.count("hidden_size") * heads * keys.count("v_head_dim")


SPARSE: dict[str, Any] = {"kind": "indexed_attention", "first": 3}
HY_V4: dict[str, Any] = {**SPARSE, "first": 1, "every": 4, "extra": sinks_and_gate}
FAMILIES: Mapping[str, Reader] = {
    "deepseek_v2": decoder,
    **dict.fromkeys(("deepseek_v3", "kimi_k2"), partial(decoder, first=3)),
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa"), partial(decoder, **SPARSE)),
    "hy_v4": partial(decoder, **HY_V4, beside=hy_v4),
    "hy_v4_vl_text": partial(decoder, **HY_V4, beside=hy_v4_part),
    "axk1": partial(decoder, first=1, experts_extra=lambda keys: keys.count("hidden_size")),
    "axk2": partial(
        decoder, kind="indexed_attention", first=1, extra=gate_of_heads, beside=gates_of_norms
    ),
    **dict.fromkeys(("glm4_moe_lite", "sarvam_mla"), partial(decoder, first=1)),
    **dict.fromkeys(("minicpm3", "youtu"), partial(decoder, dense=True, tied=True)),
    "mistral4": decoder,
}
