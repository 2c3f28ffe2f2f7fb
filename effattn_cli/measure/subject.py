"""A cell made real: the module, its inputs, and the call that is measured."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from effattn_cli.attention import Attention, Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.records import Cell

DTYPES: dict[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass
class Subject:
    """`call()` does what the cell asks for, once. Everything it needs is already resident."""

    call: Callable[[], Tensor]
    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.inputs + self.weights + self.state


def build(
    variant: type[Attention],
    cell: Cell,
    *,
    seed: int = 0,
    device: str | None = None,
    eager: bool = False,
) -> Subject:
    """The subject of `cell`: random weights and inputs from `seed`.

    `device` stands in for the cell's, and `eager` puts off its wish to be compiled: for counting.

    Raises:
        Unsupported: the variant cannot do what the cell asks for.
    """
    cell = replace(cell, device=device or cell.device, compile=cell.compile and not eager)
    place, dtype = torch.device(cell.device), DTYPES[cell.dtype]
    # torch.manual_seed would note the stack for accelerators that are not used: 2 ms a process.
    (torch.default_generator if place.type == "cpu" else torch).manual_seed(seed)
    with place:
        module = _cast(variant(config(variant, cell)), dtype)
    module.train(cell.phase == "train")
    if cell.phase == "decode":
        return _decoding(module, cell)
    real_BT = _real(cell, place)
    if real_BT is not None and not module.card.padding:
        raise Unsupported(f"{module.card.title} cannot be given padding")
    make: Callable[..., Any] = _layer_inputs if cell.scope == "layer" else _core_inputs
    inputs: tuple[Tensor, ...] = make(module, cell, place, dtype)
    run: Callable[..., Tensor] = module if cell.scope == "layer" else module.mix
    run = torch.compile(run) if cell.compile else run
    weights = _weights(module)
    masks = () if real_BT is None else (real_BT,)
    if cell.phase == "train":
        return Subject(_training(run, inputs, weights, real_BT), inputs + masks, weights)

    @torch.no_grad()
    def forward() -> Tensor:
        return run(*inputs, real_BT)

    return Subject(forward, inputs + masks, weights)


def _cast(module: Attention, dtype: torch.dtype) -> Attention:
    """`module.to(dtype)`, which does not work on fake tensors; tied weights stay tied."""
    cast: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            if id(weight) not in cast:
                cast[id(weight)] = nn.Parameter(weight.detach().to(dtype), weight.requires_grad)
            setattr(part, name, cast[id(weight)])
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(part, name, buffer.to(dtype))
    return module


def config(variant: type[Attention], cell: Cell) -> Attention.Config:
    """The cell's shape and options as the variant's own Config."""
    tokens = cell.seq + 1 if cell.phase == "decode" else cell.seq
    known = {item.name for item in fields(variant.Config)}
    wrong = sorted(set(cell.options) - known)
    if wrong:
        raise Unsupported(f"{cell.variant} has no option {wrong[0]!r}")
    shape: dict[str, Any] = {
        "dim": cell.dim, "heads": cell.heads, "kv_heads": cell.kv_heads,
        "head_dim": cell.head_dim, "tokens": tokens, "causal": cell.causal,
        "core": cell.scope == "core",
    }  # fmt: skip
    return variant.Config(**(shape | dict(cell.options)))


def _core_inputs(
    module: Attention, cell: Cell, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """q, k and v laid out as a layer hands them over: (B, T, H, K) in memory."""
    heads = (module.heads, module.kv_heads, module.kv_heads)
    grad = cell.phase == "train"
    return tuple(
        torch.randn(cell.batch, cell.seq, H, module.head_dim, device=device, dtype=dtype)
        .transpose(1, 2)
        .requires_grad_(grad)
        for H in heads
    )


def _layer_inputs(
    _: Attention, cell: Cell, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    x_BTD = torch.randn(cell.batch, cell.seq, cell.dim, device=device, dtype=dtype)
    return (x_BTD.requires_grad_(cell.phase == "train"),)


def _real(cell: Cell, device: torch.device) -> Tensor | None:
    if not cell.padding:
        return None
    real = max(1, cell.seq - round(cell.seq * cell.padding))
    return (torch.arange(cell.seq, device=device) < real).expand(cell.batch, -1)


def _weights(module: Attention) -> tuple[Tensor, ...]:
    return (*module.parameters(), *module.buffers())


def _training(
    run: Callable[..., Tensor],
    inputs: tuple[Tensor, ...],
    weights: tuple[Tensor, ...],
    real_BT: Tensor | None,
) -> Callable[[], Tensor]:
    wanted = [*inputs, *(weight for weight in weights if weight.requires_grad)]
    upstream: list[Tensor] = []  # made at the first call, when the output's shape is known

    def train() -> Tensor:
        out = run(*inputs, real_BT)
        if not upstream:
            upstream.append(torch.randn_like(out))
        torch.autograd.grad(out, wanted, upstream[0], allow_unused=True)
        return out

    return train


def _decoding(module: Attention, cell: Cell) -> Subject:
    if not isinstance(module, Decodable):
        raise Unsupported(f"{module.card.title} cannot decode token by token")
    if cell.padding:
        raise Unsupported("decoding takes no padding")
    like: dict[str, Any] = {"device": module.place.device, "dtype": module.place.dtype}
    with torch.no_grad():
        state = module.start(cell.batch, cell.seq)
    if cell.scope == "layer":
        inputs: tuple[Tensor, ...] = (torch.randn(cell.batch, cell.dim, **like),)
        run: Callable[..., Any] = module.decode
    else:
        heads = (module.heads, module.kv_heads, module.kv_heads)
        inputs = tuple(torch.randn(cell.batch, H, module.head_dim, **like) for H in heads)
        run = module.mix_step
    run = torch.compile(run) if cell.compile else run

    @torch.no_grad()
    def step() -> Tensor:
        return run(*inputs, state)[0]

    kept = tuple(part for part in vars(state).values() if isinstance(part, Tensor))
    return Subject(step, inputs, _weights(module), kept)
