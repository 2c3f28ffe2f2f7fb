"""Seven questions of engineers, and what `effattn` answers from what is shipped with it.

    python -m benchmarks.questions

Prints each question, the commands and what they print. The scores of the last one are made up.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from effattn_cli import library, store

REFERENCE = "ref:epyc-zen5-2-threads"
#: The question, and the commands that answer it; `mine.yaml` is a copy, `laptop.yaml` another
#: machine's profile.
QUESTIONS: Sequence[tuple[str, Sequence[str]]] = (
    ("An encoder at 4k tokens, p95 below 40 ms a layer",
     [f"choose {REFERENCE} -s 4k --latency p95<=40ms"]),
    ("A decoder of 8B parameters at 32k tokens in 16 GiB",
     ["choose --model llama-3-8b --context 32k --memory 16GiB"]),
    ("Keep my weights at 16k, causal, in half the time",
     [f"choose {REFERENCE} -s 16k --causal --keep-weights --latency 810ms",
      f"choose {REFERENCE} -s 16k --causal --fidelity 5% --latency 810ms"]),
    ("The smallest state of decoding at 128k",
     [f"choose {REFERENCE} -s 128k --phase decode --prefer memory",
      f"choose {REFERENCE} -s 128k --phase decode --prefer memory --update 16",
      f"choose {REFERENCE} -s 128k --phase decode --prefer memory --keep-weights"]),
    ("The best single variant from 1k to 16k",
     [f"choose {REFERENCE} -s 1k..16k --causal --latency 300ms"]),
    ("Two machines",
     [f"choose {REFERENCE} laptop.yaml -s 8k --latency 100ms",
      "choose laptop.yaml -s 8k --latency 100ms"]),
    ("My own scores",
     [f"merge mine.yaml {REFERENCE}",
      "score mine.yaml sdpa=81.2 linformer=81.0 sliding-window=80.9 --of accuracy",
      "choose mine.yaml -s 16k --latency 300ms"]),
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _laptop(Path(folder))
        for question, commands in QUESTIONS:
            print(f"\n### {question}\n")
            for words in commands:
                print(f"$ effattn {words}")
                print(_answer(words.split(), folder))


def _laptop(folder: Path) -> None:
    """The reference profile's cells at 8k as those of another machine, half as fast."""
    profile = library.read(REFERENCE)
    slower = [
        replace(
            record,
            runs=tuple(
                replace(run, samples=tuple(2 * s for s in run.samples)) for run in record.runs
            ),
        )
        for record in profile.records
        if record.cell.seq == 8192
    ]
    machine = replace(profile.machine, cpu="a made-up laptop", cores=4)
    laptop = replace(profile, machine=machine, records=tuple(slower))
    store.Writer(folder / "laptop.yaml").write(laptop)


def _answer(words: Sequence[str], folder: str) -> str:
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "XDG_DATA_HOME": folder}
    result = subprocess.run(
        [sys.executable, "-m", "effattn_cli", *words],
        capture_output=True, text=True, check=False, cwd=folder,
        env=os.environ | plain | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    return result.stdout + result.stderr


if __name__ == "__main__":
    main()
