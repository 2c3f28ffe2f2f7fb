"""How closely the core of a variant approximates exact softmax attention on the same q, k and v.

The exact output and its weights are computed in float64. The variant's weights are found through
its core alone: if it is linear in the values, an identity matrix as values returns them.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor
from torch.nn.functional import cosine_similarity

from effattn_cli.attention import Attention, Layer, Unsupported, repeat_kv
from effattn_cli.cards import unmet
from effattn_cli.errors import UsageError
from effattn_cli.evaluate import tensor_file
from effattn_cli.evaluate.decoding_state import kept_bytes
from effattn_cli.evaluate.drawing import Drawn, draw, rows
from effattn_cli.evaluation import OWN, Fidelity
from effattn_cli.measure.modules import DTYPES, config
from effattn_cli.measure.output_check import NotFinite
from effattn_cli.records import Cell

LARGEST = 10  # how many of a query's largest weights are compared
QUERIES = 512  # at most, evenly spaced, whose weights are compared; fewer for many heads and tokens
STORED = {
    "F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16,
}  # fmt: skip
AT_ONCE = 2**25  # exact scores
LOOKED_AT = 2**26  # weights, at most
TIE = 1e-4  # weights that differ by a smaller fraction are ties


@torch.no_grad()
def measure(
    variant: type[Layer], cell: Cell, wanted: Fidelity, *, seed: int, file: str | None = None
) -> Fidelity:
    """The results that `wanted` lacks: for all of its draws, or for the tensors in `file`.

    Raises:
        Unsupported: the core takes other inputs than q, k and v, or cannot do what the cell asks.
        NotFinite: it gave something else than numbers.
    """
    start = time.monotonic()
    draws: list[tuple[Tensor, ...]] = []
    for number in range(max(1, wanted.draws)):
        inputs = _inputs(cell, wanted.regime, seed + number, file)
        torch.manual_seed(seed + number)
        layer = core(variant, cell)
        draws.append(compare(layer, inputs.to(DTYPES[cell.setting.dtype])))
    columns = [torch.cat([part.flatten() for part in parts]) for parts in zip(*draws, strict=True)]
    errors, cosines, overlaps, spread = (tuple(column.tolist()) for column in columns)
    return replace(
        wanted, errors=errors, cosines=cosines, overlaps=overlaps, entropies=spread,
        seconds=time.monotonic() - start,
    )  # fmt: skip


def _inputs(cell: Cell, regime: str, seed: int, file: str | None) -> Drawn:
    setting = cell.setting
    if regime == OWN and file is not None:
        return loaded(tensor_file.look(Path(file)))
    kv_heads = setting.kv_heads or setting.heads
    width = setting.head_dim or setting.dim // setting.heads
    return draw(
        regime, heads=setting.heads, kv_heads=kv_heads, tokens=cell.seq, width=width,
        causal=setting.causal, seed=seed,
    )  # fmt: skip


def loaded(captured: tensor_file.Captured) -> Drawn:
    """The tensors of a file, with a batch axis, unchanged."""
    made = []
    with Path(captured.path).open("rb") as file:
        for name in tensor_file.NAMES:
            tensor = captured.tensors[name]
            first, end = tensor.data_offsets
            file.seek(captured.start + first)
            flat = torch.frombuffer(bytearray(file.read(end - first)), dtype=STORED[tensor.dtype])
            made.append(flat.view(captured.batch, -1, *tensor.shape[-2:]))
    if not all(tensor.isfinite().all() for tensor in made):
        raise UsageError(f"--qkv {captured.path!r}: it holds values that are not finite")
    return Drawn(*made)


def core(variant: type[Layer], cell: Cell) -> Attention:
    """The variant's core, without projections around it; any weights of its own are random.

    Raises:
        Unsupported: it is no core of q, k and v as wide as each other, or cannot be built so.
    """
    missing = unmet(variant.card, cell.setting.device)
    if missing is not None:
        raise Unsupported(missing)
    title = variant.card.title
    if not issubclass(variant, Attention):
        raise Unsupported(f"{title} has no core of queries, keys and values")
    layer = variant(config(variant, cell)).to(DTYPES[cell.setting.dtype]).eval()
    assert isinstance(layer, Attention)
    widths = {name: spec.sizes(layer)[1] for name, spec in layer.inputs.items()}
    if list(widths) != ["q", "k", "v"] or set(widths.values()) != {layer.head_dim}:
        raise Unsupported(f"the core of {title} takes other inputs than a trained model's q, k, v")
    return layer


def state_bytes(variant: type[Layer], cell: Cell) -> int | None:
    """Size of the decoding state after the cell's tokens; None if the core is not causal, or cannot
    decode.
    """
    return kept_bytes(core(variant, cell), cell)


def compare(layer: Attention, inputs: Drawn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per head (B, H): relative error, cosine, overlap (empty if the output is not a weighted sum
    of the values), and the entropy of the exact weights.
    """
    given = inputs.q_BHTK, inputs.k_BGTK, inputs.v_BGTK
    got_BHTK = layer.mix(*given, None)
    if got_BHTK.shape != inputs.q_BHTK.shape:
        raise Unsupported(f"{layer.card.title} gives another number of tokens than it takes")
    if not got_BHTK.isfinite().all():
        raise NotFinite(f"{layer.card.title} gave values that are not finite")
    got_BHTK, exact = got_BHTK.double(), Exact(inputs, causal=layer.causal)
    want_BHTK = exact.output()
    error_BH = (got_BHTK - want_BHTK).flatten(2).norm(dim=2) / want_BHTK.flatten(2).norm(dim=2)
    cosine_BH = cosine_similarity(got_BHTK, want_BHTK, dim=-1).mean(-1).clamp(-1, 1)
    B, H, T, _ = want_BHTK.shape
    at_N = rows(T, min(QUERIES, max(2, LOOKED_AT // (B * H * T))))
    weight_BHNT = exact.weights(at_N)
    own_BHNT = weights(layer, inputs, at_N)
    overlap = overlaps(weight_BHNT, own_BHNT, exact.seen(at_N))
    if not _explains(own_BHNT, inputs, got_BHTK[:, :, at_N]):
        overlap = overlap[:0]
    return error_BH, cosine_BH, overlap, exact.entropy(at_N, weight_BHNT)


class Exact:
    """Softmax attention in float64."""

    def __init__(self, inputs: Drawn, *, causal: bool) -> None:
        heads = inputs.q_BHTK.shape[1]
        self.q_BHTK = inputs.q_BHTK.double() * inputs.q_BHTK.shape[-1] ** -0.5
        self.k_BHTK = repeat_kv(inputs.k_BGTK.double(), heads)
        self.v_BHTK = repeat_kv(inputs.v_BGTK.double(), heads)
        self.causal = causal

    def seen(self, at_N: Tensor) -> Tensor:
        """The keys that each of these queries sees, (N, T)."""
        key_T = torch.arange(self.k_BHTK.shape[2])
        return key_T <= at_N[:, None] if self.causal else (key_T >= 0).expand(len(at_N), -1)

    def weights(self, at_N: Tensor) -> Tensor:
        """The weights of these queries, (B, H, N, T)."""
        score_BHNT = self.q_BHTK[:, :, at_N] @ self.k_BHTK.mT
        return score_BHNT.masked_fill_(~self.seen(at_N), -torch.inf).softmax(-1)

    def output(self) -> Tensor:
        """The output of all queries, (B, H, T, K)."""
        B, H, T, _ = self.k_BHTK.shape
        parts = torch.arange(T).split(max(1, AT_ONCE // (B * H * T)))
        return torch.cat([self.weights(at_N) @ self.v_BHTK for at_N in parts], dim=2)

    def entropy(self, at_N: Tensor, weight_BHNT: Tensor) -> Tensor:
        """Mean (B, H) over queries that see several keys, as a fraction of the maximum entropy."""
        number_N = self.seen(at_N).sum(1)
        several = number_N > 1
        if not several.any():
            return weight_BHNT.new_zeros(weight_BHNT.shape[:2])
        weight_BHNT = weight_BHNT[:, :, several]
        share_BHN = -torch.special.xlogy(weight_BHNT, weight_BHNT).sum(-1) / number_N[several].log()
        return share_BHN.mean(-1).clamp(0, 1)


def weights(layer: Attention, inputs: Drawn, at_N: Tensor) -> Tensor:
    """The weights (B, H, N, T) that a core assigns to the keys for these queries, if it is linear
    in the values: it runs once for every K keys, K being the width of a value.
    """
    return torch.cat(list(_columns(layer, inputs, at_N)), dim=-1)


def _columns(layer: Attention, inputs: Drawn, at_N: Tensor) -> Iterator[Tensor]:
    T, K = inputs.v_BGTK.shape[2:]
    for first in range(0, T, K):
        number = min(K, T - first)
        one_BGTK = torch.zeros_like(inputs.v_BGTK)
        one_BGTK[:, :, first : first + number] = torch.eye(number, K, dtype=one_BGTK.dtype)
        out_BHTK = layer.mix(inputs.q_BHTK, inputs.k_BGTK, one_BGTK, None)
        yield out_BHTK[:, :, at_N, :number].double()


def overlaps(exact_BHNT: Tensor, own_BHNT: Tensor, seen_NT: Tensor) -> Tensor:
    """The fraction of the largest exact weights that are among the variant's largest, mean over the
    queries (B, H). For a query that sees fewer than ten keys, all of them are compared.

    A weight of zero never counts as one of the largest. Weights that tie for the last ranks count
    in part: with the probability of being chosen if the remaining ranks were drawn among them.
    """
    number_N1 = seen_NT.sum(1, keepdim=True).clamp(max=LARGEST)
    top = min(LARGEST, seen_NT.shape[1])
    position_BHNL = exact_BHNT.topk(top, dim=-1).indices
    counts_NL = torch.arange(top) < number_N1
    best_BHNL = own_BHNT.topk(top, dim=-1).values
    least_BHN1 = best_BHNL.gather(-1, (number_N1 - 1).expand(*best_BHNL.shape[:3], 1))
    tie_BHN1 = TIE * least_BHN1.abs()
    is_more = (own_BHNT > least_BHN1 + tie_BHN1) & (own_BHNT > 0)
    is_tied = ((own_BHNT - least_BHN1).abs() <= tie_BHN1) & (own_BHNT > 0)
    room_BHN1 = number_N1 - is_more.sum(-1, keepdim=True)
    ties_BHN1 = is_tied.sum(-1, keepdim=True).clamp(min=1)
    chance_BHNT = is_more + is_tied * (room_BHN1 / ties_BHN1).clamp(max=1)
    taken_BHNL = chance_BHNT.gather(-1, position_BHNL) * counts_NL
    return (taken_BHNL.sum(-1) / number_N1[:, 0]).mean(-1).clamp(0, 1)


def _explains(own_BHNT: Tensor, inputs: Drawn, got_BHNK: Tensor) -> bool:
    """Whether these weights reproduce the output that the core gave for the actual values."""
    v_BHTK = repeat_kv(inputs.v_BGTK.double(), own_BHNT.shape[1])
    tolerance = torch.finfo(inputs.v_BGTK.dtype).eps ** 0.5
    return bool((own_BHNT @ v_BHTK - got_BHNK).norm() <= tolerance * got_BHNK.norm())
