from typing import Any

from hypothesis import given
from inline_snapshot import snapshot
from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.records import Bandwidth, Record
from effattn_cli.report.profile import footnotes
from effattn_cli.report.profile.tables import tables
from tests.builders import (
    MIB,
    MS,
    a_cell,
    a_profile,
    failed,
    measured,
    pending,
    predicted,
)
from tests.report.mixes import mixes
from tests.report.screen import screen


def a_sweep() -> list[Record]:
    """Something of everything: rounds that differ, a prediction, failures, a busy machine."""
    return [
        measured(a_cell("sdpa", 1024), [7.2 * MS, 7.3 * MS, 7.5 * MS], MIB, flops=2 * 10**9),
        measured(a_cell("sdpa", 2048), 29.1 * MS, 2 * MIB, flops=8 * 10**9),
        measured(a_cell("sdpa", 4096), 118 * MS, 4 * MIB, flops=35 * 10**9),
        predicted(a_cell("sdpa", 65536), 32.9, 64 * MIB),
        failed(
            a_cell("sdpa", 131072), "out-of-memory", "would need 41.0 GiB, the limit is 19.2 GiB"
        ),
        measured(a_cell("linformer", 1024), 7.31 * MS, 3 * MIB, flops=10**9),
        measured(a_cell("linformer", 2048), 40 * MS, 5 * MIB, flops=2 * 10**9, background_load=1.3),
        measured(a_cell("linformer", 4096), 19.8 * MS, 4 * MIB, flops=4 * 10**9),
        measured(a_cell("linformer", 65536), 553 * MS, 150 * MIB, flops=69 * 10**9),
        pending(a_cell("linformer", 131072)),
    ]


def test_a_table_at_80_columns() -> None:
    assert screen(tables(a_profile(*a_sweep())), 80) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2 threads
 seq  variant     latency            vs sdpa       peak     vs sdpa  GFLOP/s
────────────────────────────────────────────────────────────────────────────
  1k  sdpa        7.30 ms ±4 %             1    1.0 MiB           1      274
      linformer   7.31 ms ±1 %         ?1.0x    3.0 MiB   3.0x more      137

  2k  sdpa        29.1 ms ±1 %             1    2.0 MiB           1      275
      linformer  !40.0 ms ±1 %   1.4x slower    5.0 MiB   2.5x more       50

  4k  sdpa         118 ms ±1 %             1    4.0 MiB           1      297
      linformer   19.8 ms ±1 %   6.0x faster    4.0 MiB        same      202

 64k  sdpa        ~32.9 s ±25 %            1  ~64.0 MiB           1
      linformer    553 ms ±1 %   ~59x faster    150 MiB  ~2.3x more      125

128k  sdpa       out of memory: would need 41.0 GiB, the limit is 19.2 GiB
      linformer         -                             -

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals
~ predicted from the measured lengths
! other processes kept up to 1.3 cores busy: the latency may be too high
? too close to call: the intervals overlap\
""")


def test_a_wide_terminal_shows_more() -> None:
    assert screen(tables(a_profile(*a_sweep()[:2], *a_sweep()[5:7])), 120) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2 threads
seq  variant     latency           vs sdpa     peak    vs sdpa  GFLOP/s  tokens/s          min … max
────────────────────────────────────────────────────────────────────────────────────────────────────
 1k  sdpa        7.30 ms ±4 %            1  1.0 MiB          1      274     140 k  7.13 ms … 7.58 ms
     linformer   7.31 ms ±1 %        ?1.0x  3.0 MiB  3.0x more      137     140 k  7.24 ms … 7.38 ms

 2k  sdpa        29.1 ms ±1 %            1  2.0 MiB          1      275    70.4 k  28.8 ms … 29.4 ms
     linformer  !40.0 ms ±1 %  1.4x slower  5.0 MiB  2.5x more       50    51.2 k  39.6 ms … 40.4 ms

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals
! other processes kept up to 1.3 cores busy: the latency may be too high
? too close to call: the intervals overlap\
""")


def test_long_names_cost_blanks_and_columns_but_are_never_cut() -> None:
    records = [measured(a_cell("sdpa"), 1 * MS), measured(a_cell("linear-transformer"), 2 * MS)]
    long = measured(a_cell("linformer:rank=64,sharing=1"), 3 * MS)
    assert screen(tables(a_profile(*records)), 76) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2
threads
seq variant            latency          vs sdpa    peak vs sdpa GFLOP/s
───────────────────────────────────────────────────────────────────────
 1k sdpa               1.00 ms ±1 %           1 4.0 MiB       1    1000
    linear-transformer 2.00 ms ±1 % 2.0x slower 4.0 MiB    same     500

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals\
""")
    assert screen(tables(a_profile(*records, long)), 66) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32,
cpu, 2 threads
seq variant                     latency          vs sdpa    peak
────────────────────────────────────────────────────────────────
 1k sdpa                        1.00 ms ±1 %           1 4.0 MiB
    linear-transformer          2.00 ms ±1 % 2.0x slower 4.0 MiB
    linformer:rank=64,sharing=1 3.00 ms ±1 % 3.0x slower 4.0 MiB

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals\
""")


def test_without_a_baseline_nothing_is_compared() -> None:
    records = [measured(a_cell("linformer", seq), seq * 1e-6) for seq in (1000, 1536)]
    assert screen(tables(a_profile(*records, baseline=None))) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2 threads
 seq  variant    latency          peak  GFLOP/s  tokens/s          min … max
────────────────────────────────────────────────────────────────────────────
1000  linformer  1.00 ms ±1 %  4.0 MiB     1000     1.0 M   990 µs … 1.01 ms
1.5k  linformer  1.54 ms ±1 %  4.0 MiB      651     1.0 M  1.52 ms … 1.55 ms

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals\
""")


def test_decoding_shows_the_state() -> None:
    records = [
        measured(
            a_cell(label, 65536, phase="decode", causal=True, batch=4),
            seconds,
            90_000,
            flops=10**7,
            state_bytes=state,
        )
        for label, seconds, state in (
            ("sdpa", 2 * MS, 256 * MIB),
            ("linear-transformer", 80e-6, MIB),
        )
    ]
    assert screen(tables(a_profile(*records))) == snapshot("""\
decode, core, causal, dim 512, 8 heads, batch 4, float32, cpu, 2 threads
context variant            latency         vs sdpa     peak vs sdpa   state
───────────────────────────────────────────────────────────────────────────
    64k sdpa               2.00 ms ±1 %          1 87.9 KiB       1 256 MiB
        linear-transformer 80.0 µs ±1 % 25x faster 87.9 KiB    same 1.0 MiB

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals\
""")


def test_each_setting_has_a_table_and_a_title() -> None:
    unusual: dict[str, Any] = {
        "dtype": "bfloat16", "device": "cuda:0", "threads": 1, "phase": "train", "scope": "layer",
        "padding": 0.25, "engine": "compile", "kv_heads": 2, "head_dim": 128, "alloc": "default",
        "cache": "cold",
    }  # fmt: skip
    records = [measured(a_cell(), 1 * MS), measured(a_cell(**unusual), 1 * MS)]
    assert screen(tables(a_profile(*records)), 100) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2 threads
seq  variant  latency          peak  GFLOP/s  tokens/s         min … max
────────────────────────────────────────────────────────────────────────
 1k  sdpa     1.00 ms ±1 %  4.0 MiB     1000     1.0 M  990 µs … 1.01 ms

train, layer, not causal, 25 % padding, dim 512, 8 heads, 2 kv heads, head width 128, batch 1,
bfloat16, compiled, default heap, cold cache, cuda:0, 1 thread
seq  variant  latency          peak  GFLOP/s  tokens/s         min … max
────────────────────────────────────────────────────────────────────────
 1k  sdpa     1.00 ms ±1 %  4.0 MiB     1000     1.0 M  990 µs … 1.01 ms

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals\
""")


def test_constant_tokens_are_one_table_with_the_batch_beside_the_length() -> None:
    records = [measured(a_cell(seq=seq, batch=8192 // seq), 1 * MS) for seq in (1024, 8192)]
    assert screen(tables(a_profile(*records))) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch by length, float32, cpu, 2
threads
seq  batch  variant  latency          peak  GFLOP/s  tokens/s         min … max
───────────────────────────────────────────────────────────────────────────────
 1k      8  sdpa     1.00 ms ±1 %  4.0 MiB     1000     8.2 M  990 µs … 1.01 ms
 8k      1  sdpa     1.00 ms ±1 %  4.0 MiB     1000     8.2 M  990 µs … 1.01 ms

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals\
""")


def test_warnings_stand_below_once() -> None:
    warning = "its cost could not be counted: \x1b[31mthe process ended"
    records = [
        replace(measured(a_cell(seq=seq), 1 * MS), cost=None, warnings=(warning,))
        for seq in (1024, 2048)
    ]
    assert screen(tables(a_profile(*records))) == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2 threads
seq  variant  latency          peak  GFLOP/s  tokens/s         min … max
────────────────────────────────────────────────────────────────────────
 1k  sdpa     1.00 ms ±1 %  4.0 MiB              1.0 M  990 µs … 1.01 ms
 2k  sdpa     1.00 ms ±1 %  4.0 MiB              2.0 M  990 µs … 1.01 ms

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0
±: half the range covered by all rounds' 95 % intervals
sdpa: its cost could not be counted: \\x1b[31mthe process ended\
""")
    records.append(measured(a_cell(seq=4096), 1 * MS))
    records += [replace(measured(a_cell("local"), 1 * MS), warnings=(warning,))]
    assert [*footnotes.lines(records)] == [
        "sdpa at 1k, 2k; local at 1k: its cost could not be counted: \\x1b[31mthe process ended"
    ]


def test_a_sure_difference_has_a_direction_and_a_tie_has_none() -> None:
    def versus(mine: float, spread: float) -> str:
        records = [
            measured(a_cell("sdpa"), 1.0, spread=spread),
            measured(a_cell("linformer"), mine, spread=spread),
        ]
        return screen(tables(a_profile(*records)))

    assert " 1.04x slower " in versus(1.04, 0.001)
    assert " ?1.0x " in versus(1.04, 0.1)
    assert " ?1.1x slower " in versus(1.1, 0.1)
    assert " 10x faster " in versus(0.1, 0.1)


def test_no_mark_no_legend() -> None:
    text = screen(tables(a_profile(measured(a_cell(), [1.0], count=1))))
    assert text == snapshot("""\
forward, core, not causal, dim 512, 8 heads, batch 1, float32, cpu, 2 threads
seq  variant  latency      peak  GFLOP/s  tokens/s        min … max
───────────────────────────────────────────────────────────────────
 1k  sdpa      1.00 s   4.0 MiB        1     1.0 k  1.00 s … 1.00 s

a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0\
""")


@given(mixes())
def test_whatever_happened_fits_80_columns_and_nothing_is_missing(records: list[Record]) -> None:
    text = screen(tables(a_profile(*records)))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert all(record.cell.label in text for record in records)
    failures = sum(record.failure is not None for record in records)
    assert text.count("out of memory: would need 41.0 GiB") == failures


def test_outliers_are_told_with_where_most_are() -> None:
    calm = measured(a_cell("sdpa", 1024), MS, MIB, spread=0.01, count=20)
    far = tuple(replace(part, samples=(*part.samples[:-1], 9 * MS)) for part in calm.runs)
    found = a_profile(calm, replace(calm, cell=a_cell("sdpa", 2048), runs=far))
    told = "outliers: 3 samples far from the rest, none dropped; most: sdpa at 2k (3 of 60)"
    assert told in screen(tables(found), 100)


def beside(fraction: float, *others: Record) -> str:
    """A table with a cell that takes so little time that it is so many times its roofline."""
    record = measured(a_cell(), MS)
    assert record.cost is not None
    wide = (Bandwidth(working_set_bytes=1, speed=1e18),)
    rate = record.cost.matmul_flops * 1 / MS / fraction
    roofline = replace(utilisation.ANY, threads=2, device="cpu", flops=rate, bandwidths=wide)
    return screen(tables(a_profile(record, *others, rooflines=(roofline,))), 200)


def test_what_is_faster_than_its_device_can_be_is_implausible_not_a_slow_machine() -> None:
    assert "roofline above" not in beside(0.9) + beside(1.04)
    little, far = beside(1.3), beside(29.0)
    assert "! roofline above 100 %: it was measured while this machine was slower" in little
    assert "implausible" not in little
    assert "implausible: sdpa is up to 29 times as fast as this device can do what was" in far
    assert "machine was slower" not in far
    both = beside(29.0, measured(a_cell("linformer"), 2 * MS))
    assert "implausible" not in both  # the baseline does what it says: the roofline is too low
    assert "machine was slower" in both


def test_an_interval_above_100_percent_is_marked_with_its_cause() -> None:
    apart = screen(tables(a_profile(measured(a_cell(), [MS, 2 * MS, 9 * MS]))), 200)
    assert "!±" in apart
    assert "! interval above 100 %: sdpa at 1k (its rounds differ 9.0x)" in apart
    (run,) = measured(a_cell(), [MS]).runs
    samples = replace(run, samples=(MS, MS, 2 * MS, 9 * MS, 9 * MS))
    wild = screen(tables(a_profile(replace(measured(a_cell(), MS), runs=(samples,)))), 200)
    assert "(a single round, whose samples differ" in wild
    busy = measured(a_cell(), [MS, 2 * MS, 9 * MS], background_load=1.0)
    assert "sdpa at 1k (other processes were running)" in screen(tables(a_profile(busy)), 200)
    assert "interval above" not in screen(tables(a_profile(measured(a_cell(), MS))), 200)


def test_steps_that_differ_are_told_with_the_dearest() -> None:
    record = measured(a_cell("axial-transformer", phase="decode"), MS)
    assert record.cost is not None
    runs = tuple(replace(run, worst_step=9 * MS) for run in record.runs)
    dear = replace(record, runs=runs, cost=replace(record.cost, steps=64))
    told = "axial-transformer: a mean step is shown; one step in 64 takes 9.00 ms at 1k, 9x that"
    assert told in screen(tables(a_profile(dear)), 200)
    assert "a mean step is shown" not in screen(tables(a_profile(record)), 200)
