"""What measuring a cell takes: seconds of its visits, from the seconds of a call."""

from effattn_cli.records import Sampling

WARM_SECONDS = 0.2  # warming up, at most; one call at least
OVERHEAD = 0.03  # seconds to fork a process and end it
MEMORY_CALLS = 2  # as a rule: three short ones, or one that is long


def visit_seconds(call: float, sampling: Sampling, *, memory: bool) -> float:
    """Of one visit: a few calls whose allocations are watched, or a warm-up and the samples."""
    warm, sampled = max(call, WARM_SECONDS), max(call, sampling.seconds)
    return OVERHEAD + (MEMORY_CALLS * call if memory else warm + sampled)


def visits_seconds(call: float, sampling: Sampling, *, rounds: int, memory: bool) -> float:
    """Of so many rounds, and of the visit for the memory where it is wanted."""
    seconds = rounds * visit_seconds(call, sampling, memory=False)
    return seconds + visit_seconds(call, sampling, memory=True) if memory else seconds


def cell_seconds(call: float, sampling: Sampling) -> float:
    """Of all visits to a cell."""
    return visits_seconds(call, sampling, rounds=sampling.rounds, memory=True)


def affordable(call: float, sampling: Sampling) -> bool:
    """Whether the calls that a cell needs at least fit its time limit: one for the memory, then a
    warm-up and a sample in each round.
    """
    return call * (1 + 2 * sampling.rounds) <= sampling.time_limit
