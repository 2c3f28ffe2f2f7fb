"""The synthetic tasks, each declared once: the question, its loads, and its tokens.

They are small versions of known ones: recall is multi-query associative recall with a key and a
value in one token (Zoology, Arora et al. 2023, arXiv:2312.04927), update the same with keys that
are overwritten, and parity the state tracking that linear recurrences with positive eigenvalues
cannot do (Grazzi et al. 2024, arXiv:2411.12537). Nothing here imports torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from effattn_cli.evaluation import Task as Name


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, which is trained at all its loads and tested at those of `loads`."""

    name: Name
    help: str
    load: str  # what a load counts
    loads: tuple[int, ...]
    easy: tuple[int, ...] = (1, 2, 4)  # smaller loads, with which training starts
    room: int  # tokens that a sequence needs for each unit of its load
    symbols: int  # a key is a pair of symbols, so that keys resemble one another
    values: int
    positions: bool  # whether every mixer gets the positions of the tokens, in the same way
    is_prefix: bool = False  # asked after each token, about those so far: it needs a causal mask
    trained: float = 1.0  # the longest training sequence, as a fraction of a test sequence

    @property
    def keys(self) -> int:
        return self.symbols**2

    def fitting(self, tokens: int) -> tuple[int, ...]:
        """The loads that fit into a sequence of `tokens` tokens."""
        return tuple(load for load in (*self.easy, *self.loads) if load * self.room <= tokens)


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="recall", help="which value came with a key", load="pairs",
            loads=(8, 16, 32, 64), room=2, symbols=16, values=64, positions=False,
        ),
        Task(
            name="update", help="which value came with a key last, each having come twice",
            load="keys",
            loads=(4, 8, 16, 32), easy=(1, 2), room=4, symbols=16, values=64, positions=True,
        ),
        Task(
            name="parity", help="whether the ones so far are an odd number", load="bits",
            loads=(8, 16, 32, 64, 128), room=1, symbols=1, values=2, positions=False,
            is_prefix=True, trained=0.5,
        ),
    )
}  # fmt: skip
