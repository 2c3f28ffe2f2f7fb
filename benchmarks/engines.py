"""What each engine makes of each variant: measured, or refused by name; and what effattn adds to a
call of an engine.

    python -m benchmarks.engines [--compile] [-o sweep.yaml] [VARIANT...]
    python -m benchmarks.engines --overhead

A sweep of whole layers of 512, 8 heads, at 1k and 4k tokens, and of decoding at 4k, a process a
cell and engine, in shuffled order; then a table. `--compile` adds torch.compile: minutes a variant.
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
from effattn_cli.records import Profile, Record

ENGINES = ("eager", "onnxruntime", "onnxruntime-decomposed", "openvino")
COLUMNS = (("forward", 1024), ("forward", 4096), ("decode", 4096))
TURNS, CALLS = 41, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--read", action="store_true", help="the table of a sweep that is there")
    parser.add_argument("-o", "--out", type=Path, default=Path("engines"))
    asked = parser.parse_args()
    if asked.overhead:
        overhead()
        return
    engines = (*ENGINES, "compile") if asked.compile else ENGINES
    if not asked.read:
        for phase in ("forward", "decode"):
            measure(asked.variants or ["all"], engines, phase, asked.out)
    profiles = [store.read(path) for path in sorted(asked.out.glob("*.yaml"))]
    print("\n".join(table(profiles, engines)))


def measure(variants: Sequence[str], engines: Sequence[str], phase: str, folder: Path) -> None:
    """A sweep of the variants that are causal, and one of those that are not."""
    folder.mkdir(exist_ok=True)
    cards = {name: Catalog().variant(name).card for name in Catalog().names()}
    asked = cards if "all" in variants else {name: cards[name] for name in variants}
    for causal in (False, True) if phase == "forward" else (True,):
        wrong = "always" if not causal else "never"
        meant = [name for name, card in asked.items() if card.causal != wrong]
        if not meant:
            continue
        subprocess.run(
            [
                sys.executable, "-m", "effattn_cli", "profile", "-v", ",".join(meant),
                "-s", "1k,4k" if phase == "forward" else "4k", "--phase", phase,
                "--causal" if causal else "--no-causal", "--scope", "layer",
                "--engine", ",".join(engines), "--rounds", "1", "--time-limit", "15s", "-q",
                "-o", str(folder / f"{phase}-{'causal' if causal else 'whole'}.yaml"), "--force",
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
