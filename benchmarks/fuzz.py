"""Mutated profiles, configs and range strings: how many end in anything but a clean error.

    python benchmarks/fuzz.py --files 100000 --strings 1000000 --seed 0

A profile that is read is shown, exported, compared and merged too, and a config is planned. Exits 1
if there is a traceback.
The changes are blind ones; atheris (not a dependency) takes `guided`, and follows the code:

    cd benchmarks; python -c "import sys, atheris; atheris.instrument_imports().__enter__()
    import fuzz; atheris.Setup(sys.argv, fuzz.guided); atheris.Fuzz()" -max_total_time=600
"""

import argparse
import contextlib
import io
import random
import re
import resource
import string
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from effattn_cli import store
from effattn_cli.analysis.compare.comparison import compare
from effattn_cli.analysis.compare.merging import merge
from effattn_cli.catalog import Catalog
from effattn_cli.errors import EffattnError
from effattn_cli.plan import request as requests
from effattn_cli.plan.cells import plan
from effattn_cli.plan.config_file import from_file
from effattn_cli.quantities import parse_bytes, parse_seconds
from effattn_cli.ranges import fractions, lengths
from effattn_cli.report.compare import comparison_json, comparison_view
from effattn_cli.report.profile import csv_export, findings, tables

_CARD = """{title: T, families: [low-rank], paper: 'arXiv:1', year: 2020, time: N k, memory: N,
      causal: optional, kind: exact, notes: [a note], exempt: {a law: a reason}}"""
_VARIANT = """{{name: {0}, summary: It attends., decode: true, origin: bundled, path: v.py,
      code: 0a, options: [{{name: rank, type: int, default: 16}}], card: {1}}}"""
_CELL = '{"variant": "%s", "seq": %d, "options": {"rank": 64}, "threads": 2, "padding": 0.25}'
_ROUND = '{"samples": [0.001, 1.1e-3, 2e-05], "warmup": 3, "first_seconds": 0.1, "stopped": "time"}'
_COST = """{"matmul_flops": 9, "other_flops": 0, "transcendentals": 0, "read_bytes": 8388608,\
 "write_bytes": 4194304, "peak_bytes": 4194304}"""
_PREDICTION = """{"seconds": 62.1, "low": 40.0, "high": 90.0, "peak_bytes": 4194304,\
 "anchor_seq": 1024, "why": "over the time limit"}"""
PROFILE = f"""effattn_profile: 1
created: '2026-01-02T03:04:05+00:00'
command: effattn profile -v linformer
machine: {{effattn: 0.1.0, python: 3.11.9, os: Linux, torch: 2.13.0, torch_build: cpu, cpu: a CPU,
  cores: 2, memory_bytes: 17179869184, load: 0.1, environment: {{OMP_NUM_THREADS: '2'}}}}
sampling: {{rounds: 3, precision: 0.02, time_budget: 60.0, memory_limit: null}}
baseline: sdpa
variants:
  sdpa: {_VARIANT.format("sdpa", _CARD)}
  linformer: {_VARIANT.format("linformer", _CARD)}
finished: true
records:
- cell: {_CELL % ("sdpa", 1024)}
  cost: {_COST}
  memory: {{"peak_bytes": 4194304, "input_bytes": 6291456, "weight_bytes": 0}}
  rounds:
  - {_ROUND}
  - {_ROUND}
- cell: {_CELL % ("linformer", 1024)}
  rounds:
  - {_ROUND}
- cell: {_CELL % ("linformer", 2048)}
  prediction: {_PREDICTION}
- cell: {_CELL % ("sdpa", 2048)}
  failure: {{"reason": "crashed", "message": "signal 11", "output": ["a line", "another"]}}
  kernels: ["flash"]
  warnings: ["late"]
"""
WHOLE = store.parse(PROFILE.encode())
#: The same as a person would have it after an edit: no record stands as effattn writes it.
EDITED = PROFILE.replace("- cell: {", "-\n  cell:  {")
CONFIG = """variant: [linformer:rank=64, 'family:kernel', sdpa]
seq: 1k..16k
batch: [1, 2]
padding: [0, 0.25]
dim: 512
causal: true
time-limit: 1m30s
memory_limit: 2GiB
seed: 7
"""
RANGES = ["1k..64k", "1..8,16,!4", "512..2k:+512", "1k..64k:/9", "1k..1M:x4", "128-512*2", "0.25,0"]
SIZES = ["2GiB", "512MB", "1m30s", "200us", "5ms", "1.5h"]
SNIPPETS = [
    "&a ", "*a", "!!python/object/apply:os.system [id]", "!!binary aGk=", "[" * 500, "{a: " * 300,
    "<<: {a: 1}", "\x00", "\x1b[31m", "\u202e", "\ufeff", ".nan", ".inf", "-.inf", "NaN", "1e999",
    "Infinity", "-1", "9" * 30, "9" * 5000, "0x" + "f" * 20_000, "1" + ":59" * 2000, "1:30", "010",
    "no", "~", "null", "''", "a" * 70_000, "? ", "- - - -", "|\n", ">-\n", "%YAML 9.9\n---\n", "#",
    "\n---\n", "\n...\n", "'", '"', "\t", "\r", "é" * 50, "😀", "2001-12-14", "=", "[]", "{}", "..",
    "!", "(", "\\", "../../etc/passwd", "$(id)", "{0.__class__}", "%s%n", "1_000", "١٢", "²", "k",
    ",,",
]  # fmt: skip

NUMBERS = [
    b"0", b"1", b"2", b"3", b"0.0", b"5e-324", b"1e-9", b"0.5", b"0.999", b"1024", b"2048", b"1e15",
    b"1.7e308", b"9223372036854775807", b"4611686018427387904", b"9007199254740993", b"-0.0",
]  # fmt: skip


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    tried: int = 0
    taken: int = 0
    slowest: float = 0.0
    broken: list[str] = field(default_factory=list)

    def run(self, check: Callable[[bytes], None], data: bytes) -> None:
        self.tried += 1
        started = time.process_time()
        try:
            check(data)
            self.taken += 1
        except EffattnError as error:
            if len(str(error).splitlines()) != 1:
                self.broken.append(f"no single line: {str(error)!r}\n{data[-3000:]!r}")
        except Exception:  # noqa: BLE001  to find these is what this is for
            self.broken.append(f"{traceback.format_exc(limit=-3)}{data[-3000:]!r}")
        self.slowest = max(self.slowest, time.process_time() - started)


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """The seed after one to four random changes."""
    data = bytearray(seed)
    for _ in range(rng.choice([1, 1, 2, 4])):
        rng.choice(CHANGES)(data, rng)
    return bytes(data)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _put(data: bytearray, rng: random.Random) -> None:
    index = rng.randint(0, len(data))
    data[index:index] = rng.choice(SNIPPETS).encode()


def _cut(data: bytearray, rng: random.Random) -> None:
    index = rng.randint(0, len(data))
    del data[index : index + rng.choice([1, 1, 5, 50, 10_000])]


def _line(data: bytearray, rng: random.Random) -> None:
    """A line is dropped, doubled, moved or indented."""
    lines = data.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    index = rng.randint(0, len(lines))
    lines[index:index] = rng.choice(
        [[], [line, line], [line], [bytearray(b"  ") + line], [line.strip()]]
    )
    data[:] = b"\n".join(lines)


def _word(data: bytearray, rng: random.Random) -> None:
    """A word or number becomes a snippet, or another word of the file."""
    words = bytes(data).replace(b",", b" ").replace(b":", b" ").split()
    if words:
        other = rng.choice([rng.choice(SNIPPETS).encode(), rng.choice(words)])
        word = rng.choice(words)
        data[:] = data.replace(word, other, rng.choice([1, 1, -1]) if len(other) < 100 else 1)


def _number(data: bytearray, rng: random.Random) -> None:
    """A number becomes another that may well be allowed."""
    numbers = list(re.finditer(rb"(?<![A-Za-z0-9])[0-9][0-9.e-]*", bytes(data)))
    if numbers:
        start, end = rng.choice(numbers).span()
        data[start:end] = rng.choice(NUMBERS)


CHANGES = [_flip, _put, _cut, _line, _word, _number, _number]


def a_string(rng: random.Random) -> bytes:
    """A range or a size after some changes, or letters at random."""
    if rng.random() < 0.3:
        letters = rng.choice(["0123456789kMi.,:x+/!-*% ", string.printable])
        return "".join(rng.choices(letters, k=rng.randint(0, 30))).encode()
    return mutated(rng.choice(RANGES + SIZES).encode(), rng)


def read_profile(data: bytes) -> None:
    profile = store.parse(data)
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.tables(profile))
    for sentence in findings.sentences(profile):
        console.print(sentence, highlight=False, markup=False)
    store.as_json(profile)
    csv_export.as_csv(profile)
    csv_export.as_markdown(profile)
    for old, new in ((profile, WHOLE), (WHOLE, profile), (profile, profile)):
        comparisons = {"new": compare(old, new)}
        console.print(comparison_view.report(comparisons, old="old", all=True))
        comparison_json.document("old", comparisons, {})
        with contextlib.suppress(EffattnError):
            merge([old, new], "")


def guided(data: bytes) -> None:
    with contextlib.suppress(EffattnError):
        read_profile(data)


def plan_config(data: bytes, path: Path, catalog: Catalog) -> None:
    path.write_bytes(data)
    request = requests.merged({}, from_file(path))
    requests.sampling(request)
    plan(request, catalog, cores=2)


GRAMMARS = (lengths, fractions, parse_bytes, parse_seconds)


def read_string(data: bytes) -> None:
    """By each of the grammars; that one refuses it must not keep the others from it."""
    text = data.decode(errors="surrogateescape")
    refused: list[EffattnError] = []
    for grammar in GRAMMARS:
        try:
            grammar(text, "--option")
        except EffattnError as error:
            refused.append(error)
    if len(refused) == len(GRAMMARS):
        raise refused[0]


def fuzz(files: int, strings: int, seed: int) -> dict[str, Tally]:
    rng, catalog = random.Random(seed), Catalog()
    tallies = {name: Tally() for name in ("profiles", "edited profiles", "configs", "strings")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.yaml"
        sources = [
            ("profiles", PROFILE, 2 * files // 5, read_profile),
            ("edited profiles", EDITED, files // 5, read_profile),
            ("configs", CONFIG, 2 * files // 5, lambda data: plan_config(data, path, catalog)),
        ]
        for name, source, count, check in sources:
            for _ in range(count):
                tallies[name].run(check, mutated(source.encode(), rng))
    for _ in range(strings):
        tallies["strings"].run(read_string, a_string(rng))
    return tallies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--strings", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    read_profile(PROFILE.encode())
    read_profile(EDITED.encode())
    tallies = fuzz(asked.files, asked.strings, asked.seed)
    print(f"{'':16}{'tried':>10}{'accepted':>10}{'tracebacks':>12}{'slowest':>12}")
    for name, tally in tallies.items():
        row = f"{name:16}{tally.tried:>10}{tally.taken:>10}{len(tally.broken):>12}"
        print(f"{row}{tally.slowest * 1e3:>9.0f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the whole process: {peak:.0f} MiB")
    broken = [text for tally in tallies.values() for text in tally.broken]
    print("\n".join(broken[:10]), file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
