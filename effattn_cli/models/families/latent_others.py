"""Latent attention in layers of another build: Mistral Large 4 and LongCat-Flash."""

from collections.abc import Mapping

from msgspec.structs import replace

from effattn_cli.architecture import Layer, Mixer, Model
from effattn_cli.models.families.latent import NARROW, indexed, latent, shares
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import (
    expert_feed,
    feeds,
    kinds,
    plain_feed,
    sparse_layers,
    whole,
)
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import experts


def mistral_large4(keys: Keys) -> Model:
    """Every fourth layer has no positions; queries have no rank, and scales of their own."""
    count, dim = keys.count("num_hidden_layers"), keys.count("hidden_size")
    every = keys.count("no_rope_layer_interval", default=4)
    turned = keys.numbers("no_rope_layers") or [(index + 1) % every > 0 for index in range(count)]
    sources = keys.numbers("kv_source_layers") or list(range(count))
    if sources != list(range(count)):
        raise keys.refuse("kv_source_layers", "latents shared by layers are in no variant")

    def make(*, shared: bool, turned: bool) -> Mixer:
        heads, ours = keys.count("num_attention_heads"), keys.count("index_n_heads")
        mixer = indexed(keys, shared=shared, turned=turned, from_x=True)
        more = 2 * heads + (0 if shared else 2 * dim + 2 * ours)
        return replace(mixer, parameters=mixer.parameters + more)

    if len(turned) != count or set(kinds(keys, "indexed_attention")) != {"indexed_attention"}:
        raise keys.refuse("no_rope_layers", f"expected {count} layers, each with an index")
    half = feeds(keys, sparse_layers(keys, 1), expert_feed)
    notes = [NARROW, "learned scales of queries are counted as weights, and not measured"]
    pairs = zip(shares(keys), turned, strict=True)
    made = [make(shared=shared, turned=bool(flag)) for shared, flag in pairs]
    table = keys.count("qk_rope_head_dim") // 2
    return whole(keys, made, half, notes=notes, other=table, headless=True)


def longcat(keys: Keys) -> Model:
    """A layer is two of attention and a dense half, and experts that stand beside the second."""
    count, dim = keys.count("num_layers", "num_hidden_layers"), keys.count("hidden_size")
    routed, none = keys.count("n_routed_experts"), keys.count("zero_expert_num", minimum=0)
    width = keys.count("expert_ffn_hidden_size")
    mixed = experts(
        dim, width, keys.word("hidden_act", default="silu"), count=routed,
        chosen=keys.count("moe_topk", "num_experts_per_tok"), extra=none * dim,
    )  # fmt: skip
    mixer, plain = latent(keys), plain_feed(keys, "ffn_hidden_size", "intermediate_size")
    half = Layer(mixer=mixer, feed=plain, parameters=2 * dim)
    model = whole(keys, [None], [None], norms=0)
    notes = (
        "each of the config's layers stands as two of attention, and one of experts",
        f"{none} of the {routed + none} experts do nothing and have no weights; transformers"
        " allots some to them",
    )
    return model.having(layers=(half, half, Layer(feed=mixed)) * count, notes=notes)


FAMILIES: Mapping[str, Reader] = {
    "mistral_large4_text": mistral_large4,
    "longcat_flash": longcat,
}
