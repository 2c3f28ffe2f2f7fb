"""The Reformer: layers whose attention sorts by a hash, and layers that look at blocks nearby."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from effattn_cli.architecture import Kept, Layer, Mixer, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, linear, norm, softmax


def reformer(keys: Keys) -> Model:
    """It keeps what comes into a layer, not keys and values."""
    dim, hidden = keys.count("hidden_size", default=256), keys.count("feed_forward_size")
    feed = dense(dim, hidden, keys.word("hidden_act", default="relu"), bias=True)
    kinds = keys.words("attn_layers") or []
    if not kinds or set(kinds) - {"local", "lsh"}:
        raise keys.refuse("attn_layers", "expected a list of local and lsh")
    keys.skip("num_hidden_layers", "num_buckets", "hash_seed")
    mixers = {kind: _mixer(keys, dim, kind) for kind in dict.fromkeys(kinds)}
    layers = tuple(
        Layer(mixer=mixers[kind], feed=feed, norm="layer", parameters=2 * norm(dim, "layer"))
        for kind in kinds
    )
    vocab, positions = keys.count("vocab_size"), keys.count("max_position_embeddings")
    keys.skip("tie_word_embeddings")  # the head is wider than the embedding
    return Model.of(
        name="", family="", dim=dim, layers=layers, vocab=vocab,
        embedding=vocab * dim + _positions(keys, positions, dim),
        head=linear(2 * dim, vocab, bias=True) + vocab, other=norm(2 * dim, "layer"),
        context=positions,
        notes=("its stream is two of that width: a half of each layer adds to one of them",),
    )  # fmt: skip


def _positions(keys: Keys, positions: int, dim: int) -> int:
    """Parameters of the table of positions: in the axial form, a row and a column for each."""
    if not keys.flag("axial_pos_embds", default=True):
        keys.skip("axial_pos_shape", "axial_pos_embds_dim")
        return positions * dim
    shape, widths = keys.numbers("axial_pos_shape"), keys.numbers("axial_pos_embds_dim")
    if shape is None or widths is None or len(shape) != len(widths) or sum(widths) != dim:
        raise keys.refuse("axial_pos_embds_dim", f"expected widths that add up to {dim}")
    return sum(rows * width for rows, width in zip(shape, widths, strict=True))


def _mixer(keys: Keys, dim: int, kind: str) -> Mixer:
    heads, width = keys.count("num_attention_heads"), keys.count("attention_head_size", default=64)
    causal = keys.flag("is_decoder")
    chunk = keys.count(f"{kind}_attn_chunk_length", default=64)
    before = keys.count(f"{kind}_num_chunks_before", default=1, minimum=0)
    if keys.count(f"{kind}_num_chunks_after", default=0, minimum=0):
        raise keys.refuse(f"{kind}_num_chunks_after", "the catalogue looks at no chunk behind")
    kept = [Kept(what="kv cache", numbers=dim, every=1)]
    if kind == "lsh":
        if before != 1:
            raise keys.refuse("lsh_num_chunks_before", "the catalogue looks at one chunk before")
        hashes = keys.count("num_hashes", default=1)
        # A bucket for each head and hash: a whole number of as many bytes as float64 has.
        kept.append(Kept(what="index keys", numbers=heads * hashes, every=1, dtype="float64"))
        mixer = softmax(
            dim, heads, heads, width, kind="lsh", variant="reformer", causal=causal,
            options={"bucket_size": chunk, "hashes": hashes}, extra=-linear(dim, heads * width),
        )  # fmt: skip
    elif causal:
        mixer = softmax(
            dim, heads, heads, width, kind="local", variant="image-transformer",
            options={"block": chunk, "memory": before * chunk},
        )  # fmt: skip
    else:
        raise keys.refuse("is_decoder", "local layers that are not causal are not in the catalogue")
    return replace(mixer, keeps=tuple(kept) if causal else ())


FAMILIES: Mapping[str, Callable[[Keys], Model]] = {"reformer": reformer}
