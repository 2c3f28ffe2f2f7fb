"""A variant that can decode token by token, and its decoding state."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from effattn_cli.attention import kernels
from effattn_cli.attention.mixer import Attention

State = TypeVar("State")


class Decodable(Attention, Generic[State]):
    """A variant that can decode token by token. Decode support is this type, not a flag.

    A state is a dataclass of tensors, or a tree of them. `step` may write into the tensors of the
    state it is given, but only in slots that only later states read: stepping twice from one state
    returns the same result twice.
    """

    #: Number of steps after which the work of a step repeats: a row, a block, a segment. The cost
    #: of decoding is the mean over that many steps.
    period: int = 1
    #: Number of tokens after which decoding has shown all of its behaviour: a window has wrapped
    #: around, a memory is full. The decoding law tests beyond it.
    horizon: int = 512

    def init_state(self, batch: int, context: int) -> State:
        """The state after `context` tokens of random content, created without running them.

        `init_state(batch, 0)` is the empty state. There is room for `config.tokens` tokens in all.
        """
        raise NotImplementedError

    def step(self, *inputs: Any) -> tuple[Tensor, State]:
        """One token: `step(q_BHK, k_BHK, v_BHK, state)` returns the mixed values (B, H, V) and the
        state that includes the token. The inputs are those of `attend`, without the token axis.
        """
        raise NotImplementedError

    def mix_step(self, *given: Any) -> tuple[Tensor, State]:
        """`step`, with the key-value heads repeated for a variant that is not grouped; the last
        argument is the state.
        """
        *inputs, state = given
        tensors = self.repeated(tuple(inputs))
        if tensors[0].device.type != "cuda" or torch.compiler.is_compiling():
            return self.step(*tensors, state)
        with kernels.of_decoding():
            return self.step(*tensors, state)

    def project_step(self, x_BD: Tensor, state: State) -> tuple[tuple[Tensor, ...], State]:
        """The inputs of one step. A layer whose projections depend on earlier tokens, for example
        through a short convolution, reads them from the state and returns a new one.
        """
        given = self.project(x_BD.unsqueeze(1))
        pairs = zip(self.inputs.values(), given, strict=True)
        return tuple(spec.of_token(tensor) for spec, tensor in pairs), state

    def decode(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        """One token through the whole layer: (B, D) to (B, D)."""
        inputs, state = self.project_step(x_BD, state)
        y_BHV, state = self.mix_step(*inputs, state)
        return self.output(y_BHV.unsqueeze(2)).squeeze(1), state

    def blank(self, *shape: int, random: bool = False) -> Tensor:
        """A tensor for a state, on the layer's device and in its dtype; zeros unless random."""
        make: Any = torch.randn if random else torch.zeros
        return make(*shape, device=self.like.device, dtype=self.like.dtype)


#: Marks a field of a state that belongs to another layer, where it is counted.
BORROWED = {"borrowed": True}


def tensors_of(state: object, *, borrowed: bool = False) -> Iterator[Tensor]:
    """The tensors that belong to a state, or those that are `borrowed` from another layer, at any
    depth of dataclasses, lists and mappings.
    """
    for tensor, is_lent in _tensors(state, is_lent=False):
        if is_lent == borrowed:
            yield tensor


def leaves(tree: object) -> list[Tensor]:
    """All tensors of a tree, including borrowed ones, in order."""
    return [tensor for tensor, _ in _tensors(tree, is_lent=False)]


def leaf_names(tree: object, name: str) -> list[str]:
    """A name for each of the `leaves`, such as `state.k_BGRK`, from fields, keys and indices."""
    if isinstance(tree, Tensor):
        return [name]
    if is_dataclass(tree) and not isinstance(tree, type):
        parts = {item.name: getattr(tree, item.name) for item in fields(tree)}
    elif isinstance(tree, Mapping):
        parts = dict(tree)
    elif isinstance(tree, list | tuple):
        parts = {str(position): part for position, part in enumerate(tree)}
    else:
        return []
    return [leaf for key, part in parts.items() for leaf in leaf_names(part, f"{name}.{key}")]


def with_leaves(tree: Any, tensors: Iterator[Tensor]) -> Any:
    """The tree with its tensors replaced by others, in the order of `leaves`."""
    if isinstance(tree, Tensor):
        return next(tensors)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(
            tree,
            **{item.name: with_leaves(getattr(tree, item.name), tensors) for item in fields(tree)},
        )
    if isinstance(tree, Mapping):
        return {name: with_leaves(part, tensors) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(with_leaves(part, tensors) for part in tree)
    return tree


def _tensors(state: object, *, is_lent: bool) -> Iterator[tuple[Tensor, bool]]:
    if isinstance(state, Tensor):
        yield state, is_lent
    elif is_dataclass(state) and not isinstance(state, type):
        for item in fields(state):
            here = is_lent or item.metadata.get("borrowed", False)
            yield from _tensors(getattr(state, item.name), is_lent=here)
    elif isinstance(state, Mapping | list | tuple):
        for part in state.values() if isinstance(state, Mapping) else state:
            yield from _tensors(part, is_lent=is_lent)
