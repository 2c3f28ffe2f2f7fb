"""What is said to fit after a change must fit after it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.analysis.selection.candidates import Limit, Requirements, candidates
from effattn_cli.analysis.selection.ranking import choose, evaluate
from effattn_cli.analysis.selection.relaxation import max_context, relaxations
from effattn_cli.metrics import LATENCY, MEMORY
from tests.analysis.grids import CURVES, SEQS, grid, variants

VARIANTS = variants()
GRID = grid(noise=0.05)
LIMITS = st.tuples(st.floats(1e-6, 1.0), st.floats(1e4, 1e9)).map(
    lambda pair: (Limit(metric=LATENCY, max=pair[0]), Limit(metric=MEMORY, max=pair[1]))
)


@given(st.integers(SEQS[0], SEQS[-1]), LIMITS, st.booleans())
def test_every_relaxation_is_true(seq: int, limits: tuple[Limit, ...], exact: bool) -> None:
    needs = Requirements(limits=limits, exact=exact)
    choice = choose(candidates(GRID, needs, VARIANTS), seq, needs)
    for each in [] if choice.best else relaxations(choice):
        looser = {limit.resource: replace(limit, max=limit.max * 1.0001) for limit in each.limits}
        changed = Requirements(
            limits=tuple(looser.get(limit.resource, limit) for limit in limits),
            exact=exact and each.without is None,
        )
        again = choose(candidates(GRID, changed, VARIANTS), each.seq or seq, changed)
        assert each.label in {one.label for one in again.evaluations if one.fits}


@given(st.sampled_from(sorted(CURVES)), LIMITS)
def test_the_longest_context_fits_and_the_next_does_not(
    name: str, limits: tuple[Limit, ...]
) -> None:
    needs = Requirements(limits=limits)
    (one,) = candidates([r for r in GRID if r.cell.variant == name], needs, VARIANTS)
    found = max_context(one, needs)
    if found.seq is None:
        return
    assert evaluate(one, found.seq, needs).fits
    assert (found.lower or 0) <= found.seq <= (found.upper or 0)
    if found.seq < SEQS[-1]:
        assert not evaluate(one, found.seq + 256, needs).fits
