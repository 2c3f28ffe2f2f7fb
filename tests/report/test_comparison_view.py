"""What `effattn compare` shows, on a terminal of 80 columns and in a pull request."""

import json
import math
import random
import re

from hypothesis import given, settings
from inline_snapshot import snapshot
from msgspec.structs import replace

from effattn_cli.analysis.compare import gate
from effattn_cli.analysis.compare.comparison import Comparison, compare
from effattn_cli.analysis.compare.verdicts import Change
from effattn_cli.records import Profile, Record
from effattn_cli.report import markdown
from effattn_cli.report.compare import (
    annotations,
    change_phrases,
    comparison_json,
    comparison_view,
    gate_phrases,
)
from tests.builders import MIB, a_cell, a_machine, a_profile, failed, measured, pending, predicted
from tests.report.mixes import mixes
from tests.report.screen import screen


def a_side(seed: int, **factors: float) -> Profile:
    """Exact attention and two variants; one cell predicted, one failed."""
    rng = random.Random(seed)
    records: list[Record] = []
    for label in ("sdpa", "linformer", "local"):
        for seq in (1024, 4096, 16384):
            base = 1e-6 * seq * factors.get(label, 1.0)
            rounds = [base * rng.lognormvariate(0, 0.02) for _ in range(3)]
            peak = round(4 * MIB * factors.get(f"{label}_memory", 1.0))
            records.append(measured(a_cell(label, seq), rounds, peak))
    records.append(predicted(a_cell("sdpa", 65536), 60.0))
    records.append(failed(a_cell("linformer", 65536)) if seed % 2 else pending(a_cell("gqa")))
    return a_profile(*records)


def a_comparison() -> dict[str, Comparison]:
    old = a_side(2)
    new = replace(a_side(3, local=1.3, linformer=0.7, local_memory=2.0),
                  machine=a_machine(torch="2.14.0"))  # fmt: skip
    return {"new": compare(old, new)}


def test_a_comparison_reads_well() -> None:
    assert screen(comparison_view.report(a_comparison(), old="old", all=False)) == snapshot("""\
old: old
  a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
new: new
  a CPU, 2 cores · torch 2.14.0 · 2026-01-02 · effattn 0.1.0
  differs: torch: 2.13.0 -> 2.14.0
  latency: 4 slower, 3 faster, 2 unclear; peak memory: 3 more, 6 same; state: 9
same; FLOPs: 10 same

latency, geometric mean over the cells of a variant
variant    cells  change       verdict
──────────────────────────────────────
sdpa           3  +0.1 % ±2 %  same
linformer      3   -30 % ±2 %  faster
local          3   +29 % ±3 %  slower

peak memory, geometric mean over the cells of a variant
variant  cells  change   verdict
────────────────────────────────
local        3    2.0x   more

latency: forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2
threads
seq  variant        old      new  change       verdict
───────────────────────────────────────────────────────────────────────────────
 1k  sdpa       1.03 ms  1.01 ms  -2.8 % ±4 %  unclear, needs >1000 more rounds
 4k  sdpa       4.11 ms  4.12 ms  -0.7 % ±4 %  unclear, needs ~9 more rounds
16k  sdpa       16.3 ms  16.5 ms  +3.8 % ±4 %  slower
 1k  linformer  1.03 ms   733 µs   -29 % ±3 %  faster
 4k  linformer  4.22 ms  2.82 ms   -33 % ±3 %  faster
16k  linformer  16.3 ms  11.5 ms   -28 % ±3 %  faster
 1k  local      1.05 ms  1.34 ms   +28 % ±5 %  slower
 4k  local      4.13 ms  5.47 ms   +32 % ±5 %  slower
16k  local      16.6 ms  21.1 ms   +27 % ±5 %  slower
64k  sdpa       ~60.0 s  ~60.0 s               predicted

peak memory: forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu,
2 threads
seq  variant      old      new  change   verdict
────────────────────────────────────────────────
 1k  local    4.0 MiB  8.0 MiB    2.0x   more
 4k  local    4.0 MiB  8.0 MiB    2.0x   more
16k  local    4.0 MiB  8.0 MiB    2.0x   more

predicted, so without a verdict: sdpa at 64k
only in the old profile: gqa at 1k
only in the new profile: linformer at 64k (out of memory)
Medians vary by 1.8 % between processes: with these rounds, changes of about 4.7
% or more can be detected in a single cell. A change is the median over all
pairs of an old and a new round, ± half its 95 % interval, or (from, to) where
that is wide.\
""")


def test_several_stand_side_by_side() -> None:
    old = a_side(2)
    found = {name: compare(old, a_side(seed, local=factor))
             for name, seed, factor in (("a", 4, 1.0), ("b", 6, 1.4))}  # fmt: skip
    shown = screen(comparison_view.report(found, old="old", all=False))
    assert max(map(len, shown.splitlines())) <= 80
    assert [line for line in shown.splitlines() if line.startswith(" 4k  local")] == snapshot(
        [" 4k  local      4.13 ms  -2.7 % ±3 %  unclear     +37 % ±6 %  slower"]
    )


def test_the_markdown_has_what_the_screen_has() -> None:
    text = markdown.compared(a_comparison(), {}, old="old|<b>", all=False)
    assert "- old: old&#124;&#60;b&#62;" in text
    assert "| local | 3 | +29 % | ±3 % | slower |" in text
    assert text.count("<details>") == text.count("</details>") == 2


def test_the_json_is_one_document_without_infinities() -> None:
    old, new = (a_profile(measured(a_cell(), 1.0, peak)) for peak in (0, MIB))
    found = {"new": compare(old, new)}
    limits = [gate.parse("peak>5%")]
    outcomes = {"new": gate.outcomes(found["new"], limits, strict=False)}
    document = json.loads(comparison_json.document("old", found, outcomes))
    (each,) = document["comparisons"]
    assert each["cells"][0]["changes"]["peak"]["ratio"] is None
    assert each["cells"][0]["changes"]["peak"]["verdict"] == "worse"
    assert each["breaches"][0]["why"] == "from nothing"
    assert each["counts"]["latency"]["same"] == 1


@settings(deadline=None, max_examples=60)
@given(mixes(), mixes(), mixes())
def test_any_profiles_fit_the_screen_and_are_told(
    old: list[Record], one: list[Record], two: list[Record]
) -> None:
    before = a_profile(*old)
    found = {name: compare(before, a_profile(*new)) for name, new in (("one", one), ("two", two))}
    for some in (found, {"one": found["one"]}):
        shown = screen(comparison_view.report(some, old="old", all=True))
        assert max(map(len, shown.splitlines())) <= 80
        assert "nan" not in shown
        assert markdown.compared(some, {}, old="old", all=True).startswith("### effattn compare")
        json.loads(comparison_json.document("old", some, {}))


def test_a_hostile_name_moves_no_cursor() -> None:
    cell = replace(a_cell(device="\x1b[2J"), variant="\x1b[31m")
    profile = a_profile(measured(cell, 1.0), predicted(replace(cell, seq=9), 1.0))
    found = {"\x1b[0m": compare(profile, replace(profile, machine=a_machine(cpu="\x1b]0;x")))}
    assert "\x1b" not in screen(comparison_view.report(found, old="\x1b", all=True))
    assert "\x1b" not in markdown.compared(found, {}, old="\x1b", all=True)


def test_what_is_on_one_side_only_is_told_by_its_setting() -> None:
    both = measured(a_cell("sdpa"), 1.0)
    train = [measured(a_cell(name, phase="train"), 1.0) for name in ("sdpa", "local")]
    many = [measured(a_cell(f"v{i}", seq), 1.0) for i in range(9) for seq in (1024, 2048)]
    old, new = a_profile(both, *train), a_profile(both, *many)
    shown = screen(comparison_view.report({"new": compare(old, new)}, old="old", all=False), 200)
    assert "only in the old profile (train): sdpa and local at 1k" in shown
    assert "only in the new profile (forward): 9 variants (v0, ...) at 1k and 2k" in shown


def test_a_broken_limit_names_the_setting() -> None:
    sides = [
        a_profile(*(measured(a_cell(phase=phase), seconds) for phase in ("forward", "train")))
        for seconds in (1.0, 2.0)
    ]
    found = {"new": compare(*sides)}
    outcomes = {"new": gate.outcomes(found["new"], [gate.parse("latency>5%")], strict=False)}
    assert list(gate_phrases.lines(outcomes, found)) == [
        "latency>5%: sdpa at 1k (forward): +100.0%",
        "latency>5%: sdpa at 1k (train): +100.0%",
        "gate: latency>5%: broken by 2 of 2 cells",
    ]


def test_annotations_are_few_and_nothing_in_them_ends_one() -> None:
    seqs = [1024 + seq for seq in range(14)]
    cells = [replace(a_cell(seq=seq), variant="a,b:c%\n::error::d") for seq in seqs]
    old, new = (a_profile(*(measured(cell, side) for cell in cells)) for side in (1.0, 2.0))
    found = {"new": compare(old, new)}
    limits = [gate.parse("latency>5%"), gate.parse("energy>5%"), gate.parse("peak>5%")]
    outcomes = {"new": gate.outcomes(found["new"], limits, strict=False)}
    lines = list(annotations.lines(outcomes, found))
    assert all(re.fullmatch(r"::(error|notice) title=[^:,\n]+::[^\n]+", line) for line in lines)
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == 10
    assert errors[-1] == "::error title=effattn::and 6 more: see the log"
    assert "c%25" in errors[0]
    assert "::notice title=effattn%3A peak>5%25::kept by 14 cells" in lines
    unasked = list(annotations.lines({}, found))
    assert unasked[0].startswith("::warning title=effattn%3A latency::a,b:c%25")
    assert unasked[0].endswith("2.0x ±1 %25 slower")


def test_a_wide_interval_of_a_ratio_is_told_by_its_ends() -> None:
    def told(low: float, ratio: float, high: float) -> str:
        found = Change(old=1, new=ratio, ratio=ratio, low=low, high=high, verdict="unclear")
        return change_phrases.plus_minus(found)

    assert told(0.9, 1.0, 1.2) == "±20 %"
    assert told(1.4, 2.9, 6.2) == "(1.4x to 6.2x)"
    assert told(0.5, 2.9, math.inf) == "(0.50x or more)"
    assert told(2.0, 2.0, 2.0) == ""
