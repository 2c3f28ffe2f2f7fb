"""Consecutive decoding steps."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from effattn_cli.attention import Decodable
from effattn_cli.engines import Program
from effattn_cli.errors import Unsupported
from effattn_cli.measure.preparing import Preparer
from effattn_cli.records import Cell, Preparation

#: Maximum number of decoding steps for an engine whose graphs have a fixed length, one graph each.
MOST_GRAPHS = 16


class Decoding:
    """Decoding steps, one per call: a full period, then again from its first step.

    The last step adds the context's last token. A period ends where the context does, so that
    blocks whose size divides it are full.
    """

    def __init__(
        self, run: Callable[..., Any], inputs: Mapping[str, Tensor], mixer: Any, cell: Cell
    ) -> None:
        self._run, self._inputs = run, inputs
        self._runs: list[Callable[..., Any]] = []  # one per step, if an engine fixes the length
        self._mixer, self._batch = mixer, cell.setting.batch
        steps = min(mixer.period, cell.seq) if isinstance(mixer, Decodable) else 1
        self.contexts = range(cell.seq - steps, cell.seq)  # tokens before each step
        self.first = self._state = self.state(self.contexts[0])
        self._next = 0

    def prepare(self, preparer: Preparer) -> tuple[Program, Preparation | None]:
        """From here on the engine runs the steps.

        Raises:
            Unsupported: it fixes the tokens before a step, and there are too many of these.
        """
        steps = len(self.contexts) if preparer.engine.STATIC else 1
        if steps > MOST_GRAPHS:
            name = preparer.cell.setting.engine
            raise Unsupported(f"{name} fixes the length, and {steps} steps in turn differ by it")
        state = self.first
        for number in range(steps):
            given = dict(self._inputs) if state is None else {**self._inputs, "state": state}
            program = preparer.program(self._run, given, number)
            prepared = preparer.engine.prepare(program)
            self._runs.append(prepared.run)
            if steps > 1:
                _, state = self.step(state)
        return program, prepared.preparation

    @torch.no_grad()
    def state(self, context: int) -> Any:
        """The state after `context` tokens; None for a feed-forward, which has none."""
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
