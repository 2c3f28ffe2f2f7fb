"""What is said to fit after a change must fit after it."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from effattn_cli.analysis.selection.candidates import Limit, Needs, contenders
from effattn_cli.analysis.selection.ranking import candidate, choose
from effattn_cli.analysis.selection.relaxation import reach, relaxations
from tests.analysis.grids import CURVES, SEQS, grid, variants

VARIANTS = variants()
GRID = grid(noise=0.05)
LIMITS = st.tuples(st.floats(1e-6, 1.0), st.floats(1e4, 1e9)).map(
    lambda pair: (Limit(resource="latency", most=pair[0]), Limit(resource="memory", most=pair[1]))
)


@given(st.integers(SEQS[0], SEQS[-1]), LIMITS, st.booleans())
def test_every_relaxation_is_true(seq: int, limits: tuple[Limit, ...], exact: bool) -> None:
    needs = Needs(limits=limits, exact=exact)
    choice = choose(contenders(GRID, needs, VARIANTS), seq, needs)
    for each in [] if choice.best else relaxations(choice):
        looser = {limit.resource: replace(limit, most=limit.most * 1.0001) for limit in each.limits}
        changed = Needs(
            limits=tuple(looser.get(limit.resource, limit) for limit in limits),
            exact=exact and not each.inexact,
        )
        again = choose(contenders(GRID, changed, VARIANTS), each.seq or seq, changed)
        assert each.label in {one.label for one in again.candidates if one.fits}


@given(st.sampled_from(sorted(CURVES)), LIMITS)
def test_the_longest_context_fits_and_the_next_does_not(
    name: str, limits: tuple[Limit, ...]
) -> None:
    needs = Needs(limits=limits)
    (one,) = contenders([r for r in GRID if r.cell.variant == name], needs, VARIANTS)
    found = reach(one, needs)
    if found.seq is None:
        return
    assert candidate(one, found.seq, needs).fits
    assert (found.safe or 0) <= found.seq <= (found.hopeful or 0)
    if found.seq < SEQS[-1]:
        assert not candidate(one, found.seq + 256, needs).fits
