"""A cell made real: the module, its inputs, and the call that is measured."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import msgspec
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from effattn_cli import catalog, engines, feeds
from effattn_cli.attention import (
    Attention,
    Decodable,
    FeedForward,
    Layer,
    ModelPart,
    PlainModule,
)
from effattn_cli.attention.decodable import tensors_of
from effattn_cli.cards import unmet
from effattn_cli.engine_names import EAGER
from effattn_cli.engines import Engine, Program
from effattn_cli.errors import Unsupported
from effattn_cli.measure import feed_forwards
from effattn_cli.measure.transformer_block import Block
from effattn_cli.records import Cell, Preparation

#: Steps of decoding that an engine with graphs of one length gets, each as a graph.
MOST_GRAPHS = 16
EXACT = "sdpa"  # the attention beside a feed-forward variant in a block

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
    module: nn.Module
    width: int  # of the output
    inputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()
    lent: tuple[Tensor, ...] = ()  # what a state reads that another layer keeps
    decoding: "Decoding | None" = None  # where `call` is a step, and the next call the next step
    program: Program | None = None  # what the engine was given; of steps, the last
    preparation: Preparation | None = None

    @property
    def steps(self) -> int:
        """Calls after which their work repeats."""
        return len(self.decoding.contexts) if self.decoding is not None else 1

    @property
    def weights(self) -> tuple[Tensor, ...]:
        return (*self.module.parameters(), *self.module.buffers())

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.inputs + self.weights + self.state + self.lent


def build(
    variant: type[Layer],
    cell: Cell,
    *,
    seed: int = 0,
    device: str | None = None,
    eager: bool = False,
    watched: bool = False,
) -> Subject:
    """The subject of `cell`: random weights and inputs from `seed`.

    `device` stands in for the cell's, and `eager` for its engine: for counting, and to compare
    with. `watched` is for the memory pass.

    Raises:
        Unsupported: the variant, or the engine, cannot do what the cell asks for.
    """
    missing = unmet(variant.card, cell.setting.device)
    if missing is not None:
        raise Unsupported(missing)
    if cell.setting.phase == "decode" and variant.card.causal == "never":
        raise Unsupported(f"{variant.card.title} cannot decode")
    setting = replace(
        cell.setting,
        device=device or cell.setting.device,
        engine=EAGER if eager else cell.setting.engine,
    )
    cell = replace(cell, setting=setting)
    prepare = _Preparer(cell, seed, watched)
    place, dtype = torch.device(setting.device), DTYPES[setting.dtype]
    # torch.manual_seed would note the stack for accelerators that are not used: 2 ms a process.
    (torch.default_generator if place.type == "cpu" else torch).manual_seed(seed)
    with place:
        module = _cast(_module(variant, cell), dtype)
    module.train(cell.setting.phase == "train")
    if cell.setting.phase == "decode":
        return _decoding(module, cell, place, dtype, prepare)
    valid_BT = _real(cell, place)
    if valid_BT is not None and not variant.card.padding:
        raise Unsupported(f"{variant.card.title} cannot be given padding")
    run, given = _whole(module, cell, device=place, dtype=dtype)
    training = cell.setting.phase == "train"
    inputs = tuple(x.requires_grad_(training and x.is_floating_point()) for x in given.values())
    program = prepare.program(run, given | {"valid": valid_BT})
    prepared = prepare.engine.prepare(program)
    if cell.setting.phase == "train":
        call = _training(prepared.run, inputs, list(module.parameters()), valid_BT)
    elif prepare.engine.STATIC:
        call = prepared.run  # it has its inputs, and no gradients
    else:
        call = torch.no_grad()(partial(prepared.run, *inputs, valid_BT))
    masks = () if valid_BT is None else (valid_BT,)
    width, preparation = _width(module, cell), prepared.preparation
    tensors = inputs + masks
    return Subject(call, module, width, tensors, program=program, preparation=preparation)


@dataclass(frozen=True)
class _Preparer:
    """Hands programs of a cell to its engine.

    Raises:
        Unsupported: the engine cannot do what the cell asks for.
    """

    cell: Cell
    seed: int
    watched: bool

    def __post_init__(self) -> None:
        setting = self.cell.setting
        if why := self.engine.missing(setting.device):
            raise Unsupported(why)
        if self.engine.STATIC and setting.phase == "train":
            raise Unsupported(f"{setting.engine} runs graphs without gradients: it does not train")

    @property
    def engine(self) -> Engine:
        return engines.load(self.cell.setting.engine)

    def program(self, run: Callable[..., Any], given: Mapping[str, Any], step: int = 0) -> Program:
        """`run`, which is given these at every call."""
        return Program(
            run=run,
            given=tuple(given.values()),
            names=tuple(given),
            threads=self.cell.setting.threads,
            watched=self.watched,
            key=f"{msgspec.json.encode(self.cell).decode()} {self.seed} {step}",
        )


def _module(variant: type[Layer], cell: Cell) -> Layer | Block:
    """The variant alone, or in a block: then the other half is what exact Transformers have."""
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
    """What the setting names beside a mixer."""
    text = cell.setting.feed
    return None if text == feeds.NONE else feed_forwards.made(feeds.parse(text), cell.setting.dim)


def _is_core(module: Layer | Block, cell: Cell) -> bool:
    """Whether the core alone runs. A feed-forward alone takes x at any scope: it has none."""
    return cell.setting.scope == "core" and isinstance(module, Attention)


def _whole(
    module: Layer | Block, cell: Cell, **like: Any
) -> tuple[Callable[..., Tensor], dict[str, Tensor]]:
    """What runs, and its inputs by name: those of a core, else x."""
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


def _width(module: Layer | Block, cell: Cell) -> int:
    """Of the output."""
    if isinstance(module, ModelPart):
        return module.width
    if _is_core(module, cell):
        assert isinstance(module, Attention)
        return module.value_dim
    return cell.setting.dim


def _cast(module: Layer | Block, dtype: torch.dtype) -> Layer | Block:
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


def _real(cell: Cell, device: torch.device) -> Tensor | None:
    if not cell.setting.padding:
        return None
    valid = max(1, cell.seq - round(cell.seq * cell.setting.padding))
    return (torch.arange(cell.seq, device=device) < valid).expand(cell.setting.batch, -1)


def _training(
    run: Callable[..., Tensor],
    inputs: tuple[Tensor, ...],
    weights: list[nn.Parameter],
    valid_BT: Tensor | None,
) -> Callable[[], Tensor]:
    wanted = [weight for weight in (*inputs, *weights) if weight.requires_grad]
    upstream: list[Tensor] = []  # made at the first call, when the output's shape is known

    def train() -> Tensor:
        out = run(*inputs, valid_BT)
        if not upstream:
            upstream.append(torch.randn_like(out))
        torch.autograd.grad(out, wanted, upstream[0], allow_unused=True)
        return out

    return train


class Decoding:
    """Steps of decoding, one a call: as many as a period has, then again from the first.

    The last of them adds the context's last token. A period ends where the context does, so that
    blocks that divide it are full.
    """

    def __init__(
        self, run: Callable[..., Any], inputs: Mapping[str, Tensor], mixer: Any, cell: Cell
    ) -> None:
        self._run, self._inputs = run, inputs
        self._runs: list[Callable[..., Any]] = []  # of each step, where an engine fixes them
        self._mixer, self._batch = mixer, cell.setting.batch
        steps = min(mixer.period, cell.seq) if isinstance(mixer, Decodable) else 1
        self.contexts = range(cell.seq - steps, cell.seq)  # tokens before each step
        self.first = self._state = self.state(self.contexts[0])
        self._next = 0

    def prepare(self, prepare: _Preparer) -> tuple[Program, Preparation | None]:
        """From here on the engine runs the steps.

        Raises:
            Unsupported: it fixes the tokens before a step, and there are too many of these.
        """
        steps = len(self.contexts) if prepare.engine.STATIC else 1
        if steps > MOST_GRAPHS:
            name = prepare.cell.setting.engine
            raise Unsupported(f"{name} fixes the length, and {steps} steps in turn differ by it")
        state = self.first
        for number in range(steps):
            given = dict(self._inputs) if state is None else {**self._inputs, "state": state}
            program = prepare.program(self._run, given, number)
            prepared = prepare.engine.prepare(program)
            self._runs.append(prepared.run)
            if steps > 1:
                _, state = self.step(state)
        return program, prepared.preparation

    @torch.no_grad()
    def state(self, context: int) -> Any:
        """After so many tokens; None of a feed-forward, which keeps nothing between them."""
        if not isinstance(self._mixer, Decodable):
            return None
        return self._mixer.init_state(self._batch, context)

    @torch.no_grad()
    def step(self, state: Any) -> tuple[Tensor, Any]:
        return self._stepped(self._run, state)

    def _run_of(self, step: int) -> Callable[..., Any]:
        return self._runs[step % len(self._runs)] if self._runs else self._run

    def _stepped(self, run: Callable[..., Any], state: Any) -> tuple[Tensor, Any]:
        given = self._inputs.values()
        return (run(*given), None) if state is None else run(*given, state)

    @torch.no_grad()
    def results(self) -> Iterator[tuple[Tensor, Any]]:
        """The output and the state of each step of a period."""
        state = self.first
        for number in range(len(self.contexts)):
            out, state = self._stepped(self._run_of(number), state)
            yield out, state

    @torch.no_grad()
    def __call__(self) -> Tensor:
        out, state = self._stepped(self._run_of(self._next), self._state)
        self._next = (self._next + 1) % len(self.contexts)
        self._state = state if self._next else self.first
        return out


def _decoding(
    module: Layer | Block,
    cell: Cell,
    place: torch.device,
    dtype: torch.dtype,
    prepare: _Preparer,
) -> Subject:
    mixer = module.mixer if isinstance(module, Block) else module
    if mixer is not None and not isinstance(mixer, Decodable | FeedForward | ModelPart):
        raise Unsupported(f"{mixer.card.title} cannot decode token by token")
    if cell.setting.padding:
        raise Unsupported("decoding takes no padding")
    run, given = _one(module, cell, device=place, dtype=dtype)
    decoding, inputs = Decoding(run, given, mixer, cell), tuple(given.values())
    program, preparation = decoding.prepare(prepare)
    kept, lent = (tuple(tensors_of(decoding.first, borrowed=other)) for other in (False, True))
    width = _width(module, cell)
    return Subject(decoding, module, width, inputs, kept, lent, decoding, program, preparation)


def _one(module: Any, cell: Cell, **like: Any) -> tuple[Callable[..., Any], dict[str, Tensor]]:
    """As `_whole`, for one token of each sequence."""
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
