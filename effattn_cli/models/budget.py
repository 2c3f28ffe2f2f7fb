"""The memory that a model takes: weights, what its layers keep of each sequence, workspace.

Two totals: what the architecture needs, and what an engine allocates that has pages of one size
for all layers, as vLLM does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from effattn_cli.architecture import BYTES, CacheForm, Kept, Layer, Model, Weights, What
from effattn_cli.setting import Dtype

Line = Literal[
    "weights", "kv cache", "recurrent state", "convolution state", "index keys", "workspace",
    "gradients", "optimiser",
]  # fmt: skip
KEPT: tuple[What, ...] = get_args(What)
#: Bits of a quantised weight with its share of scales, and what is assumed of them.
QUANTISED: Mapping[str, tuple[float, str]] = {
    "fp8": (8 + 32 / 128**2, "a float32 scale for each block of 128 x 128 weights"),
    "int8": (8 + 16 / 128, "a 16-bit scale for each 128 weights"),
    "int4": (4 + (16 + 4) / 128, "a 16-bit scale and a 4-bit zero for each 128 weights"),
}
PAGE_TOKENS = 16  # of a page of the cache, at least
OPTIMISER = 8  # bytes a parameter: the two float32 moments of Adam
MASTER = 4  # further bytes where the weights are of 16 bits: their float32 copy


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """How a model is run."""

    context: int  # tokens of each sequence
    batch: int = 1
    weights: Weights | None = None  # None: the model's dtype
    cache: CacheForm | None = None  # the same of keys and values
    chunk: int = 2048  # tokens of a prompt that are read at once, as engines do
    training: bool = False


@dataclass(frozen=True)
class Memory:
    """Bytes by what takes them."""

    lines: Mapping[Line, int]
    paged: int  # what the kept lines come to in pages of one size
    page: int  # bytes of such a page

    @property
    def total(self) -> int:
        """What the architecture needs."""
        return sum(self.lines.values())

    @property
    def kept(self) -> int:
        """What the layers keep of all sequences."""
        return sum(self.lines.get(what, 0) for what in KEPT)

    @property
    def allocated(self) -> int:
        """What an engine with pages of one size allocates."""
        return self.total - self.kept + self.paged


def memory(model: Model, deployment: Deployment) -> Memory:
    """What the model takes; the workspace is that of `workspace`."""
    cache: CacheForm = deployment.cache or model.dtype
    lines: dict[Line, int] = {"weights": weights(model, deployment.weights)}
    layers = model.distinct()
    for what in KEPT:
        kept = 0
        for layer, count in layers.items():
            held = (
                part.bytes(deployment.context, cache, model.source, model.dtype)
                for part in layer.keeps
                if part.what == what
            )
            kept += count * sum(held)
        if kept and not deployment.training:
            lines[what] = kept * deployment.batch
    lines["workspace"] = workspace(model, deployment)
    if deployment.training:
        lines["gradients"] = lines["weights"]
        master = MASTER if BYTES[model.dtype] < BYTES["float32"] else 0
        lines["optimiser"] = model.parameters * (OPTIMISER + master)
    page = page_bytes(model, cache)
    pages = 0 if deployment.training else _pages(model, deployment.context, cache, page)
    return Memory(lines, page * pages * deployment.batch, page)


def weights(model: Model, form: Weights | None) -> int:
    """Bytes of the weights. Quantised are those of the layers; embedding, head and the rest keep
    the model's dtype, as is usual.
    """
    if form is None:
        return model.parameters * BYTES[model.dtype]
    if form in BYTES:
        return model.parameters * BYTES[form]
    own = [layer for layer in model.layers if not layer.repeated]
    halves = sum(half.parameters for layer in own for half in layer.halves)
    bits, _ = QUANTISED[form]
    return round(halves * bits / 8) + (model.parameters - halves) * BYTES[model.dtype]


def workspace(model: Model, deployment: Deployment) -> int:
    """Bytes alive at the worst moment beside weights and what is kept, modelled: for a piece of the
    prompt (all of it, where there is an encoder) the stream twice and the widest half; and the last
    token's logits, in float32.

    What training keeps for the backward pass is not in it: that is measured, or not known.
    """
    whole = any(layer.mixer is not None and not layer.mixer.causal for layer in model.kinds)
    piece = deployment.context if whole else min(deployment.chunk, deployment.context)
    tokens = deployment.batch * piece
    widest = max(map(_width, model.kinds))
    stream = tokens * (2 * model.dim + widest) * BYTES[model.dtype]
    return stream + deployment.batch * model.vocab * BYTES["float32"]


def _width(layer: Layer) -> int:
    """Numbers a token that the widest half of a layer has at once."""
    feed, mixer = layer.feed, layer.mixer
    hidden = 0
    if feed is not None:
        hidden = feed.width * max(1, feed.chosen) + feed.shared
        hidden *= 2 if feed.activation.startswith("gated") else 1
    heads = 0
    if mixer is not None:
        heads = (2 * mixer.heads + 2 * mixer.kv_heads) * mixer.head_dim
    return max(hidden, heads)


def page_bytes(model: Model, cache: CacheForm) -> int:
    """Bytes of a page that each layer's entries fit: what the largest needs for so many tokens, or
    for all that it keeps whatever the length.
    """
    return max((_least_page(layer, cache, model.dtype) for layer in model.kinds), default=0)


def _least_page(layer: Layer, cache: CacheForm, plain: Dtype) -> int:
    return sum(
        part.bytes(max(PAGE_TOKENS, part.every or 1), cache, plain=plain) for part in layer.keeps
    )


def _pages(model: Model, tokens: int, cache: CacheForm, page: int) -> int:
    """Pages of one sequence, in layers of each kind."""

    def size(part: Kept) -> float:
        return part.number_bytes(cache, model.dtype)

    return sum(
        count * _layer_pages(layer.keeps, tokens, page, size)
        for layer, count in model.distinct().items()
        if layer.keeps
    )


def _layer_pages(
    keeps: Sequence[Kept], tokens: int, page: int, size: Callable[[Kept], float]
) -> int:
    """A layer has a page for what does not grow, and beside it whole pages of tokens; `size` gives
    the bytes of a number.
    """
    grows = [part for part in keeps if part.every is not None]
    fixed = 1 if len(grows) < len(keeps) else 0
    a_token = sum(part.numbers * size(part) / (part.every or 1) for part in grows)
    if not a_token:
        return fixed
    in_page = max(PAGE_TOKENS, int(page / a_token) // PAGE_TOKENS * PAGE_TOKENS)
    window = max((part.max_tokens or tokens for part in grows), default=tokens)
    held = min(tokens, window + in_page - 1 if window < tokens else window)
    return fixed + -(-held // in_page)


def longest(
    model: Model, deployment: Deployment, limit: int, *, maximum: int = 2**31, paged: bool = False
) -> int:
    """The longest context whose memory is at most `limit` bytes; 0 where none fits. By bisection:
    what grows with the length never shrinks.
    """

    def fits(context: int) -> bool:
        needs = memory(model, replace(deployment, context=context))
        return (needs.allocated if paged else needs.total) <= limit

    if not fits(1):
        return 0
    if fits(maximum):
        return maximum
    low, high = 1, maximum
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
