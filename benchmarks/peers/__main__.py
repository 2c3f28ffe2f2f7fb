"""Each variant against the best public PyTorch implementation of it, interleaved in one run.

    pip install -c constraints.txt -e '.[peers]'
    python -m benchmarks.peers [NAME...]      # by default each in a process of its own
    python -m benchmarks.peers NAME --seq 1024 4096 --phase train

Same shapes, same settings, same process, freed memory kept (as `effattn profile` does by default).
Every repeat times ours and theirs in turn; the table gives the medians, and theirs over ours.
`pytest -m peers` holds their outputs and gradients against ours, where both can be given the same
weights.
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
from statistics import geometric_mean, median
from typing import Any

import torch

from benchmarks.peers.peer import Peer, known
from effattn_cli import catalog
from effattn_cli.attention import Layer
from effattn_cli.host import heap, processes
from effattn_cli.measure.workload import build

LENGTHS = (1024, 4096, 16384)
PHASES = ("forward", "train")
SECONDS, LEAST, MOST = 3.0, 5, 30  # a pair's time, and its repeats
MEMORY = 16 << 30  # bytes that the process may take
HEADER = f"{'variant':24} {'against':32} {'':14} {'seq':>6} {'ours ms':>9} {'theirs':>9}  ratio"


def calls(
    name: str, peer: Peer, seq: int, phase: str
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Ours and theirs, ready to be timed."""
    ours = build(
        catalog.load(name, kind=Layer),
        peer.cell(name, seq, phase=phase, threads=torch.get_num_threads()),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # some announce what they lack
        module = peer.make(seq).train(phase == "train")
    inputs = [x.detach().clone().requires_grad_(phase == "train") for x in ours.inputs]
    weights = [weight for weight in module.parameters() if weight.requires_grad]

    def forward() -> None:
        with torch.no_grad():
            peer.run(module, inputs)

    def train() -> None:
        out = peer.run(module, inputs)
        torch.autograd.grad(out, [*inputs, *weights], torch.ones_like(out), allow_unused=True)

    return ours.call, train if phase == "train" else forward


def race(*competitors: Callable[[], Any]) -> list[float]:
    """The median seconds of each, taken in turn."""
    for call in competitors:
        call()
    times: list[list[float]] = [[] for _ in competitors]
    begun = time.perf_counter()
    while len(times[0]) < LEAST or (time.perf_counter() - begun < SECONDS and len(times[0]) < MOST):
        for call, seconds in zip(competitors, times, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return [median(seconds) for seconds in times]


def fits(call: Callable[[], Any]) -> bool:
    """Whether the call gets by with the memory; what it held is free again."""
    try:
        call()
    except RuntimeError as error:
        assert "can't allocate" in str(error), error  # noqa: PT017
        return False
    return True


def raced(name: str) -> list[Peer]:
    return [peer for peer in known()[name] if peer.raced]


def races(name: str, phases: Sequence[str], lengths: Sequence[int]) -> list[float]:
    """Prints a line for each race of a variant; gives theirs over ours."""
    ratios = []
    for peer in raced(name):
        for phase in phases:
            for seq in lengths:
                how = f"{phase}{' causal' if peer.causal else ''}"
                print(f"{name:24} {peer.title:32} {how:14} {seq:>6} ", end="", flush=True)
                ours, theirs = calls(name, peer, seq, phase)
                if not fits(theirs):
                    print(f"{1e3 * race(ours)[0]:9.2f} more than {MEMORY >> 30} GiB", flush=True)
                    continue
                mine, other = race(ours, theirs)
                ratios.append(other / mine)
                print(f"{1e3 * mine:9.2f} {1e3 * other:9.2f} {other / mine:6.2f}", flush=True)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seq", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--phase", choices=PHASES, nargs="+", default=PHASES)
    args = parser.parse_args()
    if not args.names:
        print(HEADER, flush=True)
        for name in filter(raced, known()):
            subprocess.run([sys.executable, "-m", __package__, name, *sys.argv[1:]], check=True)
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it warns that kernels are not there
    heap.retain_heap()
    processes.limit_memory(MEMORY)
    ratios = [ratio for name in args.names for ratio in races(name, args.phase, args.seq)]
    if not ratios:
        print("nothing to race: only the outputs are compared")
        return
    slower = sum(ratio < 1 for ratio in ratios)
    print(f"geometric mean {geometric_mean(ratios):.2f}, slower in {slower} of {len(ratios)}")
    assert not math.isnan(sum(ratios))


if __name__ == "__main__":
    main()
