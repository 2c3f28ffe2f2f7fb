"""A variant that can produce token by token, and what it keeps between two tokens."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from effattn_cli.attention.mixer import Attention

State = TypeVar("State")


class Decodable(Attention, Generic[State]):
    """A variant that can produce token by token. Decode support is this type, not a flag.

    A state is a dataclass of tensors, or a tree of such. `step` may write into the tensors of the
    state it is given, but only where a later state looks: stepping twice from one state gives the
    same answer twice.
    """

    #: Steps after which the work of a step repeats: a row, a block, a segment. What decoding costs
    #: is the mean over so many.
    period: int = 1
    #: Tokens after which decoding has done all that it ever does: a window has turned over, a
    #: memory is full. The law of decoding looks past it.
    horizon: int = 512

    def init_state(self, batch: int, context: int) -> State:
        """The state after `context` tokens of random content, made without running them.

        `init_state(batch, 0)` is the empty state. Room for `config.tokens` tokens in all.
        """
        raise NotImplementedError

    def step(self, *inputs: Any) -> tuple[Tensor, State]:
        """One token: `step(q_BHK, k_BHK, v_BHK, state)` gives the mixed values (B, H, V), and the
        state that holds the token too. The inputs are those of `attend`, without the tokens' axis.
        """
        raise NotImplementedError

    def mix_step(self, *given: Any) -> tuple[Tensor, State]:
        """`step`, with the key-value heads repeated for a variant that is not grouped; the state
        is the last of what is given.
        """
        *inputs, state = given
        return self.step(*self.repeated(tuple(inputs)), state)

    def project_step(self, x_BD: Tensor, state: State) -> tuple[tuple[Tensor, ...], State]:
        """The inputs of one step. A layer whose projections know of earlier tokens, by a short
        convolution, say, reads them from the state and gives back a new one.
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


#: Of a field of a state: another layer keeps it, and it is counted there.
BORROWED = {"borrowed": True}


def tensors_of(state: object, *, borrowed: bool = False) -> Iterator[Tensor]:
    """The tensors that a state keeps, or those that are `borrowed` from another layer, however deep
    they are nested in dataclasses, lists and mappings.
    """
    for tensor, is_lent in _tensors(state, is_lent=False):
        if is_lent == borrowed:
            yield tensor


def leaves(tree: object) -> list[Tensor]:
    """All tensors of a tree, borrowed ones too, in order."""
    return [tensor for tensor, _ in _tensors(tree, is_lent=False)]


def leaf_names(tree: object, name: str) -> list[str]:
    """A name for each of the `leaves`: `state.k_BGRK`, by fields, keys and positions."""
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
    """The tree, with others in the place of its tensors, in the order of `leaves`."""
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
