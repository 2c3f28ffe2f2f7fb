"""What each engine makes of each variant: measured, or refused by name; and what effattn adds to a
call of an engine.

    python -m benchmarks.engines [--sweep whole|causal|decode] [--engine ...] [-o DIR] [VARIANT...]
    python -m benchmarks.engines --read -o DIR
    python -m benchmarks.engines --overhead

Sweeps of whole layers of 512, 8 heads, at 1k and 4k tokens, and of decoding at 4k, a process for
each cell's latency, in shuffled order; then a table. Variants are those of `--variant`: `survey`,
`deployed`, names. torch.compile takes minutes a variant: ask for it with `--engine eager,compile`.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from effattn_cli import store, units
from effattn_cli.catalog import Catalog
from effattn_cli.plan.variant_choices import select
from effattn_cli.records import Failure, Profile, Record

#: Phase, whether causal, lengths.
SWEEPS = {
    "whole": ("forward", False, "1k,4k"),
    "causal": ("forward", True, "1k,4k"),
    "decode": ("decode", True, "4k"),
}
COLUMNS = (("forward", 1024), ("forward", 4096), ("decode", 4096))
TURNS, CALLS = 41, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", default=["all"])
    parser.add_argument("--sweep", action="append", choices=SWEEPS)
    parser.add_argument("--engine", default="eager,onnxruntime,openvino")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--read", action="store_true", help="the table of sweeps that are there")
    parser.add_argument("-o", "--out", type=Path, default=Path("engines"))
    asked = parser.parse_args()
    if asked.overhead:
        overhead()
        return
    if not asked.read:
        asked.out.mkdir(exist_ok=True)
        for name in asked.sweep or SWEEPS:
            measure(asked.variants, asked.engine, name, asked.out)
    profiles = [store.read(path) for path in sorted(asked.out.glob("*.yaml"))]
    for causal in (False, True):
        print("\n".join(table(profiles, asked.engine.split(","), causal=causal)))


def measure(variants: Sequence[str], engines: str, sweep: str, folder: Path) -> None:
    """One of the sweeps, of those variants that can be in it."""
    phase, causal, seqs = SWEEPS[sweep]
    catalog = Catalog()
    names = [choice.name for choice in select(variants, catalog)]
    never = "never" if causal else "always"
    meant = [name for name in names if catalog.variant(name).card.causal != never]
    subprocess.run(
        [
            sys.executable, "-m", "effattn_cli", "profile", "-v", ",".join(meant), "-s", seqs,
            "--phase", phase, "--causal" if causal else "--no-causal", "--scope", "layer",
            "--engine", engines, "--rounds", "1", "--time-limit", "15s", "-q",
            "-o", str(folder / f"{sweep}.yaml"), "--force",
        ],
        check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def table(profiles: Sequence[Profile], engines: Sequence[str], *, causal: bool) -> Iterator[str]:
    """A row for each variant: eager's latency, and how many times as fast the other engines are, or
    why one is not.
    """
    records = [record for profile in profiles for record in profile.records]
    mine = [record for record in records if record.cell.setting.causal == causal]
    cells = {_place(record): record for record in mine}
    columns = [column for column in COLUMNS if any(place[1:3] == column for place in cells)]
    if not columns:
        return
    titles = [
        f"{phase} {units.length(seq)}: {engine}" if engine == engines[0] else engine
        for phase, seq in columns
        for engine in engines
    ]
    yield f"| {'causal' if causal else 'not causal'} | {' | '.join(titles)} |"
    yield "|---" * (1 + len(titles)) + "|"
    for label in dict.fromkeys(_place(record)[0] for record in mine):
        entries = [
            _text(cells.get((label, *column, engine)), cells.get((label, *column, engines[0])))
            for column in columns
            for engine in engines
        ]
        yield f"| {label} | {' | '.join(entries)} |"
    yield ""


def _place(record: Record) -> tuple[str, str, int, str]:
    cell, setting = record.cell, record.cell.setting
    scope = "" if setting.scope == "layer" else f" ({setting.scope})"
    return cell.label + scope, setting.phase, cell.seq, setting.engine


def _text(record: Record | None, first: Record | None) -> str:
    if record is None:
        return ""
    if record.failure is not None:
        return _why(record.failure)
    if record.seconds is None or record.prediction is not None:
        return "-"
    if record is first or first is None or not first.runs:
        return units.seconds(record.seconds)
    return f"{(first.seconds or 0.0) / record.seconds:.2f}"


def _why(failure: Failure) -> str:
    """In two words: the operator that is missing, the graphs that it would take, the error."""
    operator = re.search(r"no operator for (\S+)", failure.message)
    steps = re.search(r"(\d+) steps in turn", failure.message)
    error = re.search(r"off by (.+)", failure.message)
    if operator:
        return f"no {operator[1]}"
    if steps:
        return f"{steps[1]} graphs"
    return f"off {error[1]}" if error else "refused"


def overhead() -> None:
    """A graph of next to no work, called through effattn and in a bare loop, in turn."""
    import onnxruntime  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    from effattn_cli.devices.timing import block  # noqa: PLC0415
    from effattn_cli.engines import Program  # noqa: PLC0415
    from effattn_cli.engines import onnxruntime as engine  # noqa: PLC0415

    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    x = torch.zeros(8)
    program = Program(run=Nothing(), given=(x,), names=("x",))
    prepared = engine.prepare(program)
    with tempfile.TemporaryDirectory() as folder:
        engine.write(program, path := Path(folder) / "nothing.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options)
    binding, out = session.io_binding(), torch.empty(8)
    binding.bind_input("x", "cpu", 0, 1, (8,), x.data_ptr())
    binding.bind_output("y", "cpu", 0, 1, (8,), out.data_ptr())
    ways = {
        "bare loop": block("cpu", lambda: session.run_with_iobinding(binding)),
        "effattn": block("cpu", prepared.run),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, time_some in ways.items():
            seconds[name].append(statistics.median(time_some(CALLS).seconds))
    for name, each in seconds.items():
        print(f"{name:10} {1e6 * statistics.median(each):.2f} us a call")
    pairs = zip(seconds["effattn"], seconds["bare loop"], strict=True)
    print(f"ratio      {statistics.median(ours / bare for ours, bare in pairs):.3f}")


if __name__ == "__main__":
    main()
