"""Each variant against the best public PyTorch implementation of it, interleaved in one run.

    pip install -c constraints.txt -e '.[peers]'
    python -m benchmarks.peers [NAME...]      # by default each in a process of its own
    python -m benchmarks.peers NAME --seq 1024 4096 --phase train
    python -m benchmarks.peers --phase decode

Same shapes, same settings, same process, freed memory kept (as `effattn profile` does by default).
Every repeat times ours and theirs in turn; the table gives the medians, and theirs over ours.
In decoding these are of one step, which adds the last of so many tokens: ours as `effattn profile`
measures it, theirs from a state or cache of the same content. Where our work differs from step to
step, a repeat is as many steps as it takes to recur, and the table gives their mean.
`pytest -m peers` holds their outputs, gradients and decoding states against ours, where both can be
given the same weights.
"""

import argparse
import contextlib
import io
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Any

import torch

from benchmarks.peers.peer import Peer, known
from effattn_cli import catalog
from effattn_cli.attention import Layer
from effattn_cli.host import heap, processes
from effattn_cli.measure.workload import Subject, build

#: By phase, how long sequences are; in decoding, with the token of the step.
LENGTHS = {
    "forward": (1024, 4096, 16384),
    "train": (1024, 4096, 16384),
    "decode": (4096, 32768),
}
SECONDS, LEAST, MINUTE = 3.0, 5, 60.0  # a pair's time, its repeats, and its longest time
MOST = {"forward": 30, "train": 30, "decode": 1000}  # by phase
LONGEST = 15.0  # seconds of a call of theirs, after which no longer sequence is tried
MEMORY = 16 << 30  # bytes that the process may take
NO_ROOM = f"more than {MEMORY >> 30} GiB"
HEADER = f"{'variant':24} {'against':36} {'':14} {'seq':>6} {'ours ms':>9} {'theirs':>9}  ratio"


@dataclass(frozen=True)
class Race:
    """Two calls, each of which does as many steps in turn."""

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    steps: int = 1


@dataclass(frozen=True)
class Row:
    """A race at each length; `way` is how their decoding state is kept."""

    name: str
    peer: Peer
    phase: str
    way: str = ""

    def prepared(self, seq: int) -> Race:
        """Ours and theirs, ready to be timed."""
        if self.phase == "decode":
            return decoding(self.name, self.peer, self.way, seq)
        return passes(self.name, self.peer, seq, self.phase)

    def title(self, seq: int) -> str:
        how = f"{self.phase}{' causal' if self.peer.causal else ''}"
        return f"{self.name:24} {self.peer.title(self.way):36} {how:14} {seq:>6} "


def subject(name: str, peer: Peer, seq: int, phase: str) -> Subject:
    cell = peer.cell(name, seq, phase=phase, threads=torch.get_num_threads())
    return build(catalog.load(name, kind=Layer), cell)


def made(peer: Peer, tokens: int) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # some announce what they lack
        return peer.make(tokens)


def decoding(name: str, peer: Peer, way: str, seq: int) -> Race:
    ours, theirs = subject(name, peer, seq, "decode"), made(peer, 1).eval()
    assert ours.decoding is not None
    assert peer.state is not None
    contexts, inputs = ours.decoding.contexts, [x.clone() for x in ours.inputs]
    with torch.no_grad():
        state = tuple(
            x.clone(memory_format=torch.contiguous_format)
            for x in peer.state(theirs, ours.decoding.first)
        )
        run = peer.steps[way](theirs, inputs, state, contexts)

    def ours_in_turn() -> None:
        for _ in contexts:
            ours.call()

    return Race(ours_in_turn, torch.no_grad()(run), len(contexts))


def passes(name: str, peer: Peer, seq: int, phase: str) -> Race:
    ours = subject(name, peer, seq, phase)
    module = made(peer, seq).train(phase == "train")
    inputs = [x.detach().clone().requires_grad_(phase == "train") for x in ours.inputs]
    weights = [weight for weight in module.parameters() if weight.requires_grad]

    def forward() -> None:
        with torch.no_grad():
            peer.run(module, inputs)

    def train() -> None:
        out = peer.run(module, inputs)
        torch.autograd.grad(out, [*inputs, *weights], torch.ones_like(out), allow_unused=True)

    return Race(ours.call, train if phase == "train" else forward)


def race(*competitors: Callable[[], Any], most: int) -> list[float]:
    """The median seconds of each, taken in turn, at most so many times: at least `LEAST` times, or
    as often as they can be begun in a minute.
    """
    for call in competitors:
        call()
    times: list[list[float]] = [[] for _ in competitors]
    begun = time.perf_counter()
    while (passed := time.perf_counter() - begun) < SECONDS or len(times[0]) < LEAST:
        if len(times[0]) == most or passed > MINUTE:
            break
        for call, seconds in zip(competitors, times, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return [median(seconds) for seconds in times]


def alone(pair: Race, most: int) -> str:
    """Milliseconds of ours, where theirs does not fit."""
    if not fits(pair.ours):
        return NO_ROOM
    return f"{1e3 * race(pair.ours, most=most)[0] / pair.steps:.3f}"


def fits(call: Callable[[], Any]) -> bool:
    """Whether the call gets by with the memory; what it held is free again."""
    try:
        call()
    except RuntimeError as error:
        assert "can't allocate" in str(error), error  # noqa: PT017
        return False
    return True


def rows(name: str, phases: Sequence[str]) -> list[Row]:
    """What a variant races against in these phases."""
    return [
        Row(name, peer, phase, way)
        for peer in known()[name]
        for phase in phases
        for way in (peer.steps if phase == "decode" else [""] * peer.raced)
    ]


def races(name: str, phases: Sequence[str], lengths: Sequence[int] | None) -> list[float]:
    """Prints a line for each race of a variant; gives theirs over ours."""
    ratios = []
    for row in rows(name, phases):
        slow = False
        for seq in lengths or LENGTHS[row.phase]:
            print(row.title(seq), end="", flush=True)
            if slow:
                print("not raced: theirs took too long at the length before", flush=True)
                continue
            pair, most = row.prepared(seq), MOST[row.phase]
            begun = time.perf_counter()
            if not fits(pair.theirs):
                print(f"{alone(pair, most):>9} {NO_ROOM}", flush=True)
                continue
            slow = time.perf_counter() - begun > LONGEST
            mine, other = (x / pair.steps for x in race(pair.ours, pair.theirs, most=most))
            ratios.append(other / mine)
            print(f"{1e3 * mine:9.3f} {1e3 * other:9.3f} {other / mine:6.2f}", flush=True)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seq", type=int, nargs="+")
    parser.add_argument("--phase", choices=list(LENGTHS), nargs="+", default=list(LENGTHS))
    args = parser.parse_args()
    if not args.names:
        print(HEADER, flush=True)
        for name in known():
            if not rows(name, args.phase):
                continue
            subprocess.run([sys.executable, "-m", __package__, name, *sys.argv[1:]], check=True)
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it warns that kernels are not there
    heap.retain_heap()
    processes.limit_memory(MEMORY)
    ratios = [ratio for name in args.names for ratio in races(name, args.phase, args.seq)]
    if not ratios:
        print("no pair to compare in these phases")
        return
    slower = sum(ratio < 1 for ratio in ratios)
    print(f"geometric mean {geometric_mean(ratios):.2f}, slower in {slower} of {len(ratios)}")
    assert not math.isnan(sum(ratios))


if __name__ == "__main__":
    main()
