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
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from effattn_cli import store, units
from effattn_cli.catalog import Catalog
from effattn_cli.plan.variant_choices import select
from effattn_cli.records import Profile, Record

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
    print("\n".join(table(profiles, asked.engine.split(","))))


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


def table(profiles: Sequence[Profile], engines: Sequence[str]) -> Iterator[str]:
    """A row for each variant and direction: eager's latency, then the others' as its multiples."""
    columns = [f"{phase} {units.length(seq)}" for phase, seq in COLUMNS]
    yield "| variant | " + " | ".join(f"{e} {c}" for c in columns for e in engines) + " |"
    yield "|---" * (1 + len(columns) * len(engines)) + "|"
    rows: dict[str, dict[tuple[str, int, str], Record]] = {}
    for profile in profiles:
        for record in profile.records:
            setting = record.cell.setting
            causal = (
                setting.causal and profile.variants[record.cell.variant].card.causal != "always"
            )
            name = record.cell.label + (" (causal)" if causal and setting.phase != "decode" else "")
            rows.setdefault(name, {})[setting.phase, record.cell.seq, setting.engine] = record
    for name, cells in rows.items():
        found = [
            _text(cells.get((*column, engine)), cells.get((*column, "eager")))
            for column in COLUMNS
            for engine in engines
        ]
        yield f"| {name} | " + " | ".join(found) + " |"


def _text(record: Record | None, eager: Record | None) -> str:
    if record is None:
        return ""
    if record.failure is not None:
        return f"{record.failure.reason}: {record.failure.message[:60]}"
    if record.seconds is None or record.prediction is not None:
        return "not measured"
    if record is eager or eager is None or not eager.seconds:
        return units.seconds(record.seconds)
    return f"{eager.seconds / record.seconds:.2f}x"


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
