"""A program as a function from tensors to tensors, from which a graph can be made.

A state is flattened into its tensors. Numbers in it, such as how many tokens it holds, are fixed in
the graph. What a step writes into its input state is an output of the graph, which may use the
memory of the input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from effattn_cli.attention.decodable import leaf_names, leaves, with_leaves
from effattn_cli.engines import Program


@dataclass(frozen=True)
class Output:
    """A tensor output of a graph."""

    name: str
    like: Tensor
    place: int  # index among all tensors of the result
    written: int | None = None  # the input whose memory it overwrites


class Flat(nn.Module):
    """The program's function, from its flattened input tensors to its flattened outputs.

    It is run once at construction, to see which of the tensors are new.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        run = program.run
        self.module: Any = run if isinstance(run, nn.Module) else getattr(run, "__self__")  # noqa: B009
        self._name = "__call__" if isinstance(run, nn.Module) else run.__name__
        self._given = program.given
        pairs = zip(program.given, program.names, strict=True)
        names = [leaf for part, name in pairs for leaf in leaf_names(part, name)]
        tensors = zip(names, leaves(program.given), strict=True)
        apart = {name: _apart(tensor) for name, tensor in tensors if tensor.numel()}
        self.names, self.inputs = [*apart], [*apart.values()]
        given = self._with(self.inputs)
        before = [tensor._version for tensor in self.inputs]
        with torch.no_grad():
            self._result = run(*given)
        self.outputs = list(self._outputs(before))
        self.eval()

    def _outputs(self, before: Sequence[int]) -> Iterator[Output]:
        indices = {id(tensor): index for index, tensor in enumerate(self.inputs)}
        names = leaf_names(self._result, "y")
        if isinstance(self._result, tuple):
            out, state = self._result
            names = [*leaf_names(out, "y"), *leaf_names(state, "new_state")]
        for index, tensor in enumerate(leaves(self._result)):
            source = indices.get(id(tensor))
            if source is None and tensor.numel():
                yield Output(names[index], tensor, index)
            elif source is not None and self.inputs[source]._version != before[source]:
                yield Output(names[index], tensor, index, source)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        written = {output.written for output in self.outputs}
        own = [x.clone() if i in written else x for i, x in enumerate(tensors)]
        result = leaves(getattr(self.module, self._name)(*self._with(own)))
        return tuple(result[output.place] for output in self.outputs)

    def _with(self, tensors: Sequence[Tensor]) -> Any:
        """The arguments, with these tensors in place of those that are not empty."""
        left = iter(tensors)
        return with_leaves(
            self._given, (next(left) if one.numel() else one.clone() for one in leaves(self._given))
        )

    def rooms(self) -> list[Tensor]:
        """Memory for the outputs: that of an input, if the output overwrites it."""
        return [
            torch.empty_like(output.like, memory_format=torch.contiguous_format)
            if output.written is None
            else self.inputs[output.written]
            for output in self.outputs
        ]

    def result(self, tensors: Sequence[Tensor]) -> Any:
        """The result of the program's function, given the output tensors of the graph."""
        all_tensors = leaves(self._result)
        for output, tensor in zip(self.outputs, tensors, strict=True):
            all_tensors[output.place] = tensor
        return with_leaves(self._result, iter(all_tensors))


def _apart(tensor: Tensor) -> Tensor:
    """A contiguous copy."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)
