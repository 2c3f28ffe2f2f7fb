"""What measuring a cell takes: seconds of its runs, from the seconds of a call."""

from effattn_cli.records import Sampling

WARM_SECONDS = 0.2  # warming up, at most; one call at least
OVERHEAD = 0.03  # seconds to fork a process and end it
MEMORY_CALLS = 2  # as a rule: three short ones, or one that is long


def run_seconds(call: float, sampling: Sampling, *, memory: bool) -> float:
    """Of one process: a few calls whose allocations are watched, or a warm-up and the samples."""
    warm, sampled = max(call, WARM_SECONDS), max(call, sampling.seconds)
    return OVERHEAD + (MEMORY_CALLS * call if memory else warm + sampled)


def runs_seconds(call: float, sampling: Sampling, *, runs: int, memory: bool) -> float:
    """Of so many runs, and of the memory pass where it is wanted."""
    seconds = runs * run_seconds(call, sampling, memory=False)
    return seconds + run_seconds(call, sampling, memory=True) if memory else seconds


def cell_seconds(call: float, sampling: Sampling) -> float:
    """Of all processes of a cell."""
    return runs_seconds(call, sampling, runs=sampling.rounds, memory=True)


def affordable(call: float, sampling: Sampling) -> bool:
    """Whether the calls that a cell needs at least fit its time limit: one for the memory, then a
    warm-up and a sample in each run.
    """
    return call <= longest_call(sampling)


def longest_call(sampling: Sampling) -> float:
    """Seconds of a call beyond which its cell is not measured."""
    return sampling.time_limit / (1 + 2 * sampling.rounds)
