"""Each variant against the obvious public PyTorch implementation of it, interleaved in one run.

    pip install -c constraints.txt -e '.[peers]'
    python benchmarks/peers.py [NAME...]      # by default each in a process of its own

Same shapes, same settings, same process, freed memory kept (as `effattn profile` does by default).
Every repeat times ours and theirs in turn; the table gives the medians, and theirs over ours.
`equal` is the largest difference of the outputs with the same weights, where they can be shared.
"""

import argparse
import contextlib
import io
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Any

import torch
from torch import Tensor

from effattn_cli import catalog
from effattn_cli.measure import heap
from effattn_cli.measure.subject import build
from effattn_cli.records import Cell, Scope
from effattn_cli.run import limits

LENGTHS = (1024, 4096, 16384)
DIM, HEADS, WIDTH = 512, 8, 64
SECONDS, LEAST, MOST = 3.0, 5, 30  # a pair's time, and its repeats
MEMORY = 16 << 30  # bytes that the process may take


@dataclass(frozen=True)
class Peer:
    """A public implementation, and the cell of ours that does the same."""

    package: str
    make: Callable[[int], torch.nn.Module]
    run: Callable[[Any, Any], Tensor]  # module, inputs
    scope: Scope = "core"
    options: tuple[tuple[str, Any], ...] = ()
    causal: bool = False


def linformer(seq: int) -> torch.nn.Module:
    from linformer import LinformerSelfAttention  # noqa: PLC0415

    return LinformerSelfAttention(DIM, seq_len=seq, k=256, heads=HEADS)


def performer(causal: bool) -> Callable[[int], torch.nn.Module]:  # noqa: FBT001
    def make(_: int) -> torch.nn.Module:
        from performer_pytorch import FastAttention  # noqa: PLC0415

        return FastAttention(WIDTH, nb_features=256, causal=causal)

    return make


def reformer(causal: bool) -> Callable[[int], torch.nn.Module]:  # noqa: FBT001
    def make(_: int) -> torch.nn.Module:
        from reformer_pytorch import LSHAttention  # noqa: PLC0415

        return LSHAttention(bucket_size=64, n_hashes=4, causal=causal, dropout=0.0)

    return make


def local(causal: bool) -> Callable[[int], torch.nn.Module]:  # noqa: FBT001
    def make(_: int) -> torch.nn.Module:
        from local_attention import LocalAttention  # noqa: PLC0415

        # Its exact window is w keys back and itself; not causal, w on each side.
        window = 255 if causal else 128
        return LocalAttention(
            window, causal=causal, exact_windowsize=True, autopad=True, use_rotary_pos_emb=False
        )

    return make


def longformer(_: int) -> torch.nn.Module:
    from transformers import LongformerConfig  # noqa: PLC0415
    from transformers.models.longformer.modeling_longformer import (  # noqa: PLC0415
        LongformerSelfAttention,
    )

    config = LongformerConfig(
        hidden_size=DIM, num_attention_heads=HEADS, attention_window=[512],
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return LongformerSelfAttention(config, layer_id=0)


def run_longformer(module: Any, inputs: Any) -> Tensor:
    (x_BTD,) = inputs
    first = torch.arange(x_BTD.shape[1])[None] < 1
    mask_BT = torch.where(first, 1.0, 0.0)  # above 0: global
    return module(
        x_BTD,
        attention_mask=mask_BT,
        is_index_masked=mask_BT < 0,
        is_index_global_attn=mask_BT > 0,
        is_global_attn=True,
    )[0]


def _merged(x_BHTK: Tensor) -> Tensor:
    return x_BHTK.reshape(-1, *x_BHTK.shape[2:])


PEERS: dict[str, list[Peer]] = {
    "linformer": [
        Peer("linformer", linformer, lambda m, x: m(*x), "layer", (("rank", 256),)),
    ],
    "performer": [
        Peer("performer-pytorch", performer(causal=False), lambda m, x: m(*x)),
        Peer("performer-pytorch", performer(causal=True), lambda m, x: m(*x), causal=True),
    ],
    "reformer": [
        Peer(
            "reformer-pytorch", reformer(causal), lambda m, x: m(_merged(x[0]), _merged(x[2]))[0],
            options=(("bucket_size", 64), ("hashes", 4)), causal=causal,
        )
        for causal in (False, True)
    ],
    "local": [
        Peer(
            "local-attention", local(causal), lambda m, x: m(*x),
            options=(("window", 256),), causal=causal,
        )
        for causal in (False, True)
    ],
    "longformer": [
        Peer("transformers", longformer, run_longformer, "layer", (("window", 512),)),
    ],
}  # fmt: skip


def calls(
    name: str, peer: Peer, seq: int, phase: str
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Ours and theirs, ready to be timed."""
    cell = Cell(
        variant=name, options=dict(peer.options), seq=seq, phase=phase,  # type: ignore[arg-type]
        scope=peer.scope, causal=peer.causal, threads=torch.get_num_threads(),
    )  # fmt: skip
    ours = build(catalog.load(name), cell)
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
        for call, found in zip(competitors, times, strict=True):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return [median(found) for found in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    if not names:
        for name in PEERS:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    heap.retain_heap()
    limits.limit_memory(MEMORY)
    ratios = []
    print(f"{'variant':12} {'against':18} {'':14} {'seq':>6} {'ours ms':>9} {'theirs':>9}  ratio")
    for name in names:
        for peer in PEERS[name]:
            for phase in ("forward", "train"):
                for seq in LENGTHS:
                    how = f"{phase}{' causal' if peer.causal else ''}"
                    print(f"{name:12} {peer.package:18} {how:14} {seq:>6} ", end="", flush=True)
                    ours, theirs = calls(name, peer, seq, phase)
                    try:
                        theirs()
                    except RuntimeError as error:
                        assert "can't allocate" in str(error), error  # noqa: PT017
                        print(f"{1e3 * race(ours)[0]:9.2f} more than {MEMORY >> 30} GiB")
                        continue
                    mine, other = race(ours, theirs)
                    ratios.append(other / mine)
                    print(f"{1e3 * mine:9.2f} {1e3 * other:9.2f} {other / mine:6.2f}")
    slower = sum(ratio < 1 for ratio in ratios)
    print(f"geometric mean {geometric_mean(ratios):.2f}, slower in {slower} of {len(ratios)}")
    assert not math.isnan(sum(ratios))


if __name__ == "__main__":
    main()
