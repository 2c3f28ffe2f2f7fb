"""What a GPU adds below and in the tables."""

from msgspec.structs import replace

from effattn_cli.machine import Gpu
from effattn_cli.records import Record
from effattn_cli.report import phrases
from effattn_cli.report.profile import gpu_notes
from effattn_cli.report.profile.csv_export import as_csv
from effattn_cli.report.profile.tables import tables
from tests.builders import MS, a_cell, a_profile, failed, measured
from tests.report.screen import screen

FREE = Gpu(sm_mhz=1980, celsius=50, throttle_reasons=())
HOT = Gpu(sm_mhz=1200, celsius=88, throttle_reasons=("heat",))
CAPPED = Gpu(sm_mhz=1500, celsius=70, throttle_reasons=("power cap", "heat"))


def on_gpu(
    label: str, seq: int, launch: float, *gpus: Gpu, seconds: float = MS, **axes: str
) -> Record:
    record = measured(a_cell(label, seq, device="cuda", **axes), seconds)
    states = gpus or (FREE,) * 3
    runs = zip(record.runs, states, strict=True)
    return replace(
        record, runs=tuple(replace(run, gpu=state, launch=launch) for run, state in runs)
    )


def test_where_the_cpu_takes_as_long_for_a_call_as_the_gpu() -> None:
    records = [
        on_gpu("sdpa", 1024, 0.95 * MS),
        on_gpu("sdpa", 2048, 1.2 * MS),
        on_gpu("sdpa", 4096, 0.5 * MS),
        on_gpu("linformer", 1024, 0.9 * MS),
        failed(a_cell("sdpa", 8192, device="cuda")),
    ]
    assert list(gpu_notes.lines(records)) == [
        "the CPU takes as long for a call as the GPU, which may wait: sdpa at 1k and 2k,"
        " linformer at 1k; a larger --batch or --engine compile keeps it busier",
        "the GPU ran at 1980 MHz and 50 °C",
    ]


def test_many_cells_that_are_bound_by_launches_are_counted() -> None:
    records = [on_gpu(f"v{number}", 1024, MS) for number in range(7)]
    records.append(on_gpu("sdpa", 1024, 0.1 * MS))
    assert next(gpu_notes.lines(records)) == (
        "the CPU takes as long for a call as the GPU, which may wait: 7 of 8 cells; a larger"
        " --batch or --engine compile keeps it busier"
    )


def test_rounds_that_the_driver_slowed_down_are_told_with_the_reasons() -> None:
    records = [
        on_gpu("sdpa", 1024, 0.1 * MS, FREE, HOT, FREE),
        on_gpu("sdpa", 2048, 0.1 * MS, FREE, CAPPED, HOT),
    ]
    assert list(gpu_notes.lines(records)) == [
        "the GPU ran at 1200 … 1980 MHz and 50 … 88 °C, slowed down in 3 of 6 runs by its driver"
        " (heat and power cap): latencies may be too high"
    ]


def test_where_there_is_no_gpu_nothing_is_said() -> None:
    assert list(gpu_notes.lines([measured(a_cell(), MS)])) == []


def test_the_launch_is_a_column_of_gpu_tables_and_of_the_csv() -> None:
    profile = a_profile(on_gpu("sdpa", 1024, 0.02 * MS))
    assert "launch" in screen(tables(profile), 140)
    assert "20.0 µs" in screen(tables(profile), 140)
    assert "launch" not in screen(tables(a_profile(measured(a_cell(), MS))), 140)
    head, row = (line.split(",") for line in as_csv(profile).splitlines())
    assert float(row[head.index("launch_seconds")]) == 0.02 * MS
    assert row[head.index("joules")] == ""


def test_a_cold_cache_is_a_table_of_its_own() -> None:
    records = [on_gpu("sdpa", 1024, 0.1 * MS), on_gpu("sdpa", 1024, 0.1 * MS, cache="cold")]
    shown = screen(tables(a_profile(*records)), 140)
    assert shown.count("cold cache") == 1
    assert "warm cache" not in shown
    command = phrases.measuring("sdpa", 64, records[1].cell.setting)
    assert command == "effattn profile -v sdpa -s 64 --cache cold --device cuda"
