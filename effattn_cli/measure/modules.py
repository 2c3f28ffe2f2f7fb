"""The module of a cell, and its inputs."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from effattn_cli import catalog, feeds
from effattn_cli.attention import Attention, FeedForward, Layer, ModelPart, PlainModule
from effattn_cli.errors import Unsupported
from effattn_cli.measure import feed_forwards
from effattn_cli.measure.transformer_block import Block
from effattn_cli.records import Cell

EXACT = "sdpa"  # the attention next to a feed-forward variant in a block

DTYPES: dict[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def config(variant: type[Layer], cell: Cell) -> Any:
    """The cell's shape and options as the variant's own Config."""
    names = {item.name for item in fields(variant.Config)}
    wrong = sorted(set(cell.options) - names)
    if wrong:
        raise Unsupported(f"{cell.variant} has no option {wrong[0]!r}")
    setting = cell.setting
    shape: dict[str, Any] = {
        "dim": setting.dim, "tokens": cell.seq, "causal": setting.causal, "heads": setting.heads,
        "kv_heads": setting.kv_heads, "head_dim": setting.head_dim, "core": setting.scope == "core",
    }  # fmt: skip
    shape = {name: value for name, value in shape.items() if name in names}
    return variant.Config(**(shape | dict(cell.options)))


def module_of(variant: type[Layer], cell: Cell) -> Layer | Block:
    """The variant alone, or in a block, whose other half is then that of a standard Transformer."""
    layer = variant(config(variant, cell))
    if isinstance(layer, PlainModule) and cell.setting.scope == "core":
        raise Unsupported(f"{layer.card.title} is a plain module, whose core is not known")
    if cell.setting.scope != "block":
        return layer
    dim, norm = cell.setting.dim, cell.setting.norm
    if isinstance(layer, FeedForward):
        exact = catalog.load(EXACT)
        return Block(exact(config(exact, replace(cell, options={}))), layer, dim=dim, norm=norm)
    mixer = None if isinstance(layer, ModelPart) else layer
    return Block(mixer, _feed(cell), dim=dim, norm=norm)


def _feed(cell: Cell) -> feed_forwards.Dense | feed_forwards.Sparse | None:
    """The feed-forward layer that the setting names for a mixer."""
    text = cell.setting.feed
    return None if text == feeds.NONE else feed_forwards.made(feeds.parse(text), cell.setting.dim)


def cast(module: Layer | Block, dtype: torch.dtype) -> Layer | Block:
    """`module.to(dtype)`, which does not work on fake tensors; tied weights stay tied."""
    by_id: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            if id(weight) not in by_id:
                by_id[id(weight)] = nn.Parameter(weight.detach().to(dtype), weight.requires_grad)
            setattr(part, name, by_id[id(weight)])
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(part, name, buffer.to(dtype))
    return module


def _is_core(module: Layer | Block, cell: Cell) -> bool:
    """Whether only the core runs. A feed-forward variant has no core: it takes x at any scope."""
    return cell.setting.scope == "core" and isinstance(module, Attention)


def whole(
    module: Layer | Block, cell: Cell, **like: Any
) -> tuple[Callable[..., Tensor], dict[str, Tensor]]:
    """The function that runs, and its inputs by name: those of a core, or x."""
    batch, tokens = cell.setting.batch, cell.seq
    if _is_core(module, cell):
        assert isinstance(module, Attention)
        given = {
            name: spec.random(module, batch, tokens, **like) for name, spec in module.inputs.items()
        }
        return module.mix, given
    if isinstance(module, ModelPart):
        return module, {"x": module.example(batch, tokens, **like)}
    return module, {"x": torch.randn(batch, tokens, cell.setting.dim, **like)}


def one_token(module: Any, cell: Cell, **like: Any) -> tuple[Callable[..., Any], dict[str, Tensor]]:
    """Like `whole`, for one token of each sequence."""
    batch = cell.setting.batch
    if _is_core(module, cell):
        given = {
            name: spec.of_token(spec.random(module, batch, 1, **like))
            for name, spec in module.inputs.items()
        }
        return module.mix_step, given
    if isinstance(module, ModelPart):
        return module.decode, {"x": module.example(batch, 1, **like).squeeze(1)}
    return module.decode, {"x": torch.randn(batch, cell.setting.dim, **like)}


def output_width(module: Layer | Block, cell: Cell) -> int:
    """The width of the output."""
    if isinstance(module, ModelPart):
        return module.width
    if _is_core(module, cell):
        assert isinstance(module, Attention)
        return module.value_dim
    return cell.setting.dim
