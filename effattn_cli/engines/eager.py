"""PyTorch in eager mode: one operator after the other."""

from collections.abc import Iterator

from effattn_cli.engines import Prepared, Program

PREPARING = 0.0
ROOM = 0
RUNS_EAGERLY = True
STATIC = False


def missing(device: str) -> str | None:  # noqa: ARG001
    return None


def fingerprint() -> str:
    return ""


def prepare(program: Program) -> Prepared:
    return Prepared(run=program.run)


def warnings() -> Iterator[str]:
    yield from ()
