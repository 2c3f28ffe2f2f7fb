"""Sweeps in which anything may have happened to any cell."""

from typing import Any

from hypothesis import strategies as st

from effattn_cli.records import Cell, Record
from tests.builders import MIB, a_cell, drawing, failed, measured, pending, predicted

LABELS = ("sdpa", "linformer", "linear-transformer", "linformer:rank=64")


def powered(joules: float | None, cell: Cell, *facts: Any, **more: Any) -> Record:
    record = measured(cell, *facts, **more)
    return drawing(record, *[joules] * len(record.runs))


def outcomes(cell: Cell) -> st.SearchStrategy[Record]:
    seconds, peak = st.floats(1e-7, 1e4), st.integers(0, 2**12 * MIB)
    return st.one_of(
        st.builds(
            powered,
            st.none() | st.floats(0, 1e6),
            st.just(cell),
            st.lists(seconds, min_size=1, max_size=3),
            peak,
            spread=st.floats(0, 0.9),
            count=st.integers(1, 9),
            background_load=st.none() | st.floats(0, 9),
        ),
        st.builds(predicted, st.just(cell), seconds, st.none() | peak),
        st.just(failed(cell, "out-of-memory", "would need 41.0 GiB")),
        st.just(pending(cell)),
    )


@st.composite
def mixes(draw: st.DrawFn) -> list[Record]:
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, unique=True))
    seqs = draw(
        st.lists(st.sampled_from([1000, 1024, 2048, 65536, 2**20]), min_size=1, unique=True)
    )
    cells = [a_cell(label, seq) for label in labels for seq in seqs]
    kept = draw(st.lists(st.sampled_from(cells), min_size=1, unique=True))
    return [draw(outcomes(cell)) for cell in kept]
