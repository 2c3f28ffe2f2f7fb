"""A cell as something to run: the module, its inputs, and the call that is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from effattn_cli.attention import Decodable, FeedForward, Layer, ModelPart
from effattn_cli.attention.decodable import tensors_of
from effattn_cli.cards import unmet
from effattn_cli.engine_names import EAGER
from effattn_cli.engines import Program
from effattn_cli.errors import Unsupported
from effattn_cli.measure.decoding import Decoding
from effattn_cli.measure.modules import DTYPES, cast, module_of, one_token, output_width, whole
from effattn_cli.measure.preparing import Preparer
from effattn_cli.measure.transformer_block import Block
from effattn_cli.records import Cell, Preparation


@dataclass
class Subject:
    """`call()` runs once what the cell asks for. Everything it needs is already resident."""

    call: Callable[[], Tensor]
    module: nn.Module
    width: int  # of the output
    inputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()
    lent: tuple[Tensor, ...] = ()  # tensors of another layer that a state reads
    decoding: Decoding | None = None  # if `call` is a step, and the next call the next step
    program: Program | None = None  # the engine's program; for steps, the last one
    preparation: Preparation | None = None

    @property
    def steps(self) -> int:
        """Number of calls after which their work repeats."""
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
    """Builds the subject of `cell`: random weights and inputs from `seed`.

    `device` overrides the cell's device, and `eager` its engine: for counting and comparing.
    `watched` is for the memory pass.

    Raises:
        Unsupported: the variant, or the engine, cannot do what the cell asks for.
    """
    _refuse(variant, cell)
    setting = replace(
        cell.setting,
        device=device or cell.setting.device,
        engine=EAGER if eager else cell.setting.engine,
    )
    cell = replace(cell, setting=setting)
    preparer = Preparer(cell, seed, watched)
    place, dtype = torch.device(setting.device), DTYPES[setting.dtype]
    # torch.manual_seed would record the stack for unused accelerators: 2 ms per process.
    (torch.default_generator if place.type == "cpu" else torch).manual_seed(seed)
    with place:
        module = cast(module_of(variant, cell), dtype)
    module.train(setting.phase == "train")
    made = _decoding if setting.phase == "decode" else _pass
    return made(module, cell, place, dtype, preparer)


def _refuse(variant: type[Layer], cell: Cell) -> None:
    card, phase = variant.card, cell.setting.phase
    if (missing := unmet(card, cell.setting.device)) is not None:
        raise Unsupported(missing)
    if phase == "decode" and card.causal == "never":
        raise Unsupported(f"{card.title} cannot decode")
    if phase == "decode" and cell.setting.padding:
        raise Unsupported("decoding takes no padding")
    if cell.setting.padding and not card.padding:
        raise Unsupported(f"{card.title} cannot be given padding")


def _pass(
    module: Layer | Block, cell: Cell, place: torch.device, dtype: torch.dtype, preparer: Preparer
) -> Subject:
    """All tokens at once: forward, or forward and backward."""
    run, given = whole(module, cell, device=place, dtype=dtype)
    training, valid_BT = cell.setting.phase == "train", _mask(cell, place)
    call: Callable[[], Tensor]
    inputs = tuple(x.requires_grad_(training and x.is_floating_point()) for x in given.values())
    program = preparer.program(run, given | {"valid": valid_BT})
    prepared = preparer.engine.prepare(program)
    if training:
        call = Training(prepared.run, inputs, list(module.parameters()), valid_BT)
    elif preparer.engine.STATIC:
        call = prepared.run  # it already has its inputs, and no gradients
    else:
        call = torch.no_grad()(partial(prepared.run, *inputs, valid_BT))
    tensors = inputs if valid_BT is None else (*inputs, valid_BT)
    width, preparation = output_width(module, cell), prepared.preparation
    return Subject(call, module, width, tensors, program=program, preparation=preparation)


def _decoding(
    module: Layer | Block, cell: Cell, place: torch.device, dtype: torch.dtype, preparer: Preparer
) -> Subject:
    """One token of each sequence at a time."""
    mixer = module.mixer if isinstance(module, Block) else module
    if mixer is not None and not isinstance(mixer, Decodable | FeedForward | ModelPart):
        raise Unsupported(f"{mixer.card.title} cannot decode token by token")
    run, given = one_token(module, cell, device=place, dtype=dtype)
    decoding, inputs = Decoding(run, given, mixer, cell), tuple(given.values())
    program, preparation = decoding.prepare(preparer)
    kept, lent = (tuple(tensors_of(decoding.first, borrowed=other)) for other in (False, True))
    width = output_width(module, cell)
    return Subject(decoding, module, width, inputs, kept, lent, decoding, program, preparation)


class Training:
    """Forward and backward, from a random gradient of the output."""

    def __init__(
        self,
        run: Callable[..., Tensor],
        inputs: tuple[Tensor, ...],
        weights: list[nn.Parameter],
        valid_BT: Tensor | None,
    ) -> None:
        self._run, self._given = run, (*inputs, valid_BT)
        self._wanted = [weight for weight in (*inputs, *weights) if weight.requires_grad]
        self._upstream: Tensor | None = None  # made when the output's shape is known

    @torch.no_grad()
    def ready(self) -> None:
        """Makes the gradient of the output, which is an input, by a forward pass alone."""
        self._upstream = torch.randn_like(self._run(*self._given))

    def __call__(self) -> Tensor:
        out = self._run(*self._given)
        if self._upstream is None:
            self._upstream = torch.randn_like(out)
        torch.autograd.grad(out, self._wanted, self._upstream, allow_unused=True)
        return out


def _mask(cell: Cell, device: torch.device) -> Tensor | None:
    """(B, T), True where a token is real; None without padding."""
    if not cell.setting.padding:
        return None
    valid = max(1, cell.seq - round(cell.seq * cell.setting.padding))
    return (torch.arange(cell.seq, device=device) < valid).expand(cell.setting.batch, -1)
