"""Attention to latents, and to what an index or a compression leaves of the past."""

from collections.abc import Mapping

from msgspec.structs import replace

from effattn_cli.architecture import Kept
from effattn_cli.models.mixers.exact import projected
from effattn_cli.models.mixers.recurrent import low_rank
from effattn_cli.models.mixers.widths import Formula, Half, Widths, cache, index_keys, recent, state
from effattn_cli.models.pieces import linear


def latent(at: Widths) -> Half:
    """One row a token, of a latent and of a key that has a position."""
    nope, value = at.either("nope", at.head_dim), at.either("value", at.head_dim)
    queries, row, rank = at.heads * (nope + at["rope"]), at["latent"] + at["rope"], at["query_rank"]
    parameters = low_rank(at.dim, rank, queries) + rank if rank else linear(at.dim, queries)
    parameters += linear(at.dim, row) + at["latent"]  # and the norm of the latent
    parameters += linear(at["latent"], at.heads * (nope + value))
    parameters += linear(at.heads * value, at.dim)
    return parameters, (cache(row),)


def token_index(at: Widths) -> Half:
    """Over keys and values, or latent rows; a shared index is another layer's."""
    if at["over"] == "mla":
        options = {**at.options, "nope": at.head_dim, "value": at.head_dim, "query_rank": 0}
        of = {"dim": at.dim, "heads": at.heads, "kv_heads": at.kv_heads, "head_dim": at.head_dim}
        parameters, keeps = latent(Widths(**of, options=options))
    else:
        parameters, keeps = projected(at), (cache(2 * at.kv_channels),)
    if at["shared"]:
        return parameters, keeps
    parameters += linear(at.dim, (at["index_heads"] + 1) * at["index_width"] + at["index_heads"])
    more, keys = index_of_pools(at.dim, at["index_width"], at["pool"])
    return parameters + more, (*keeps, *keys)


def index_of_pools(dim: int, width: int, pool: int) -> Half:
    """What an index has for pools of so many tokens, and the keys that it keeps.

    A pool is made by gates, and biases of places in it; of the last tokens both are kept.
    """
    if pool == 1:
        return 0, (index_keys(width),)
    return linear(dim, width) + pool * width, (
        index_keys(width, every=pool), state(2 * pool * width)
    )  # fmt: skip


def block_index(at: Widths) -> Half:
    """An index key of each token beside its keys and values."""
    heads = at.either("index_heads", at.kv_heads)
    parameters = projected(at) + linear(at.dim, (heads + 1) * at["index_width"])
    return parameters, (cache(2 * at.kv_channels), index_keys(at["index_width"]))


def block_gate(at: Widths) -> Half:
    """The mean of the keys of each block, in float32, beside keys and values."""
    means = replace(index_keys(at.kv_channels, every=at["block"]), dtype="float32")
    return projected(at), (cache(2 * at.kv_channels), means)


def compressor(width: int, ratio: int, series: int) -> Half:
    """What pools `series` numbers of tokens: its biases and norm, and the last tokens' numbers."""
    numbers = series * width
    return ratio * numbers + width, (state(2 * series * ratio * numbers),)


def heavily_compressed(at: Widths, series: int = 1) -> Half:
    """A window of rows, and an entry for every `ratio` tokens before."""
    width, ratio, rank = at.head_dim, at["ratio"], at["query_rank"]
    pooling, last = compressor(width, ratio, series)
    parameters = linear(at.dim, (1 + 2 * series) * width) + width + pooling + at.heads
    parameters += low_rank(at.dim, rank, at.channels) + rank if rank else at.dim * at.channels
    if groups := at["out_groups"]:
        out_rank = at.either("out_rank", max(1, at.channels // groups // 4))
        parameters += linear(at.channels, out_rank) + linear(groups * out_rank, at.dim)
    else:
        parameters += linear(at.channels, at.dim)
    entries = Kept(what="kv cache", numbers=width, every=ratio)
    return parameters, (cache(width, at["window"]), entries, *last)


def compressed_sparse(at: Widths) -> Half:
    """Entries of twice as many tokens, and narrow ones of the same form that choose among them."""
    parameters, keeps = heavily_compressed(at, series=2)
    heads, width, ratio = at["index_heads"], at["index_width"], at["ratio"]
    pooling, last = compressor(width, ratio, series=2)
    parameters += linear(at["query_rank"] or at.dim, heads * width)
    parameters += linear(at.dim, heads + 4 * width) + pooling
    return parameters, (*keeps, index_keys(width, every=ratio), *last)


def convolved_latent(at: Widths) -> Half:
    """Queries and keys pass two convolutions of two taps: of a channel, and within a head.

    Beside keys and values, the queries and keys of two tokens are kept, and half of the values of
    one: of half of the kv heads, or half of the only one.
    """
    mixed = at.channels + at.kv_channels
    late = at.kv_heads // 2 * at.head_dim if at.kv_heads > 1 else at.head_dim // 2
    parameters = projected(at) + 3 * mixed + mixed * (2 * at.head_dim + 1) + at.kv_heads
    return parameters, (cache(2 * at.kv_channels), *recent(2 * mixed + late, 1))


FORMULAS: Mapping[str, Formula] = {
    "mla": Formula(kind="full_attention", half=latent),
    "dsa": Formula(kind="indexed_attention", half=token_index, share=4),
    "block-indexed": Formula(kind="minimax_m3_sparse", half=block_index, share=4),
    "moba": Formula(kind="full_attention", half=block_gate),
    "cca": Formula(kind="hybrid", half=convolved_latent, share=4),
    "hca": Formula(kind="heavily_compressed_attention", half=heavily_compressed),
    "csa": Formula(kind="compressed_sparse_attention", half=compressed_sparse),
}
