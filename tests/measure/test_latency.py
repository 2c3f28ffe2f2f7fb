"""When sampling stops, by a clock that is told what to say."""

import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate, chain
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog
from effattn_cli.attention import Attention
from effattn_cli.devices import energy, nvml
from effattn_cli.devices.timing import Block, Call, Times
from effattn_cli.host import heap
from effattn_cli.machine import Gpu
from effattn_cli.measure import copies, latency, output_check, reference_kernel
from effattn_cli.measure.latency import GROWING_CALLS, _quieter, sample
from effattn_cli.records import Cell, Sampling
from effattn_cli.setting import Cache, Setting
from effattn_cli.stats.median import half_width, interval
from tests.builders import a_run


def playing(seconds: Iterable[float], launch: float | None = None) -> Block:
    left = iter(seconds)

    def run(count: int) -> Times:
        return Times([next(left) for _ in range(count)], [launch] * count if launch else [])

    return run


def steady(value: float, noise: float = 0.0) -> Iterable[float]:
    number = 0
    while True:
        number += 1
        yield value * (1 + noise * (-1) ** number)


def test_a_steady_clock_is_believed_soon() -> None:
    found = sample(playing(steady(1e-3)), Sampling())
    assert found.stopped == "steady"
    assert len(found.samples) == 8
    assert found.warmup == 3
    assert found.median == 1e-3


def test_warming_up_goes_on_until_two_calls_agree() -> None:
    slow = [0.010, 0.005, 0.0025, 0.00125]
    found = sample(playing([*slow, *[0.001] * 100]), Sampling())
    assert found.warmup == len(slow) + 2
    assert found.first_seconds == 0.010
    assert set(found.samples) == {0.001}


def test_a_noisy_clock_is_asked_more_often_up_to_a_cap() -> None:
    found = sample(playing(steady(1e-6, noise=0.5)), Sampling(max_samples=64))
    assert (found.stopped, len(found.samples)) == ("count", 64)


def test_a_slow_call_is_made_once_to_warm_up_and_once_to_measure() -> None:
    found = sample(playing(steady(4.0)), Sampling())
    assert (found.stopped, len(found.samples), found.warmup) == ("time", 1, 1)


@pytest.mark.parametrize(
    ("pages", "limit", "warmup"),
    [
        ([0] * 9, 400, 1),
        ([90_000, 0, 90_000], 400, 1),  # 0.18 s of 4
        ([200_000, 200_000, 10], 400, 3),
        ([500_000, 10, 500_000, 10, 10], 400, 5),  # gigabytes, after a pause again
        ([500_000] * 9, 400, GROWING_CALLS),
        ([500_000] * 9, 30, 5),  # 20 s; one more, and a sample, would end beyond nine tenths
    ],
)
def test_a_heap_that_still_grows_is_not_warm(pages: list[int], limit: float, warmup: int) -> None:
    given = accumulate(pages, initial=0)
    asked = chain.from_iterable((each, each) for each in given)  # after a call, before the next
    next(asked)
    sampling = Sampling(time_limit=limit)
    found = sample(playing(steady(4.0)), sampling, faults=lambda: next(asked))
    assert (len(found.samples), found.warmup) == (1, warmup)


def test_pages_that_are_given_are_counted() -> None:
    before = heap.faults()
    block = bytearray(64 << 20)
    assert block[-1] == 0
    if before:
        assert heap.faults() > before


def test_outliers_are_kept() -> None:
    found = sample(playing([1.0, 0.1, 0.1, 0.1, 99.0, 0.1]), Sampling(seconds=50))
    assert 99.0 in found.samples


@pytest.mark.parametrize("number", [6, 9, 30, 200])
def test_the_interval_of_the_median_covers_it_95_times_in_a_hundred(number: int) -> None:
    import numpy as np

    draws = np.random.default_rng(number).exponential(size=(4000, number))
    found = [interval(row.tolist()) for row in draws]
    inside = sum(low <= np.log(2) <= high for low, high in filter(None, found))
    assert len(found) == 4000
    assert inside / 4000 >= 0.94


def test_few_samples_have_no_interval() -> None:
    assert interval([1.0] * 5) is None
    assert half_width([1.0] * 6) == 0.0


def test_of_two_tries_beside_other_load_the_quieter_one_counts_and_both_are_kept() -> None:
    busy, calm = a_run(3e-3, background_load=0.9), a_run(1e-3, background_load=0.0)
    busier = a_run(2e-3, background_load=1.2)
    again = _quieter(busy, calm)
    assert (again.samples, again.discarded) == (calm.samples, busy.samples)
    assert again.first_seconds == busy.first_seconds
    first = _quieter(busy, busier)
    assert (first.samples, first.discarded) == (busy.samples, busier.samples)
    assert first.background_load == 0.9


def test_a_block_holds_as_many_calls_as_fit_and_never_more_than_are_wanted() -> None:
    sizes: list[int] = []

    def noting(seconds: float, noise: float = 0.0) -> Block:
        play = playing(steady(seconds, noise))

        def run(count: int) -> Times:
            sizes.append(count)
            return play(count)

        return run

    found = sample(noting(1e-6, noise=0.5), Sampling(max_samples=40), max_calls=16)
    assert len(found.samples) == 40
    assert sizes[found.warmup :] == [16, 16, 8]
    assert set(sizes[: found.warmup]) == {1}
    for seconds, size in ((0.0015, 4), (0.0099, 1), (4.0, 1)):
        sizes.clear()
        sample(noting(seconds), Sampling(), max_calls=16)
        assert sizes[-1] == size


def test_sampling_in_blocks_stops_where_it_would_have_stopped_call_by_call() -> None:
    found = sample(playing(steady(0.001)), Sampling(), max_calls=16)
    assert (found.stopped, len(found.samples)) == ("steady", 8)


def test_the_launch_is_the_median_of_the_samples_own_and_a_cpu_has_none() -> None:
    assert sample(playing(steady(1e-3), launch=2e-5), Sampling(), max_calls=16).launch == 2e-5
    assert sample(playing(steady(1e-3)), Sampling()).launch is None


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_on_an_accelerator_a_cold_cache_is_overwritten_before_each_call(
    monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    calls = 0
    metered: list[str] = []

    def overwrite() -> None:
        nonlocal calls
        calls += 1

    def block(device: str, call: Call, before: Call | None) -> Block:
        def run(count: int) -> Times:
            for _ in range(count):
                if before is not None:
                    before()
            return Times([1e-3] * count, [1e-5] * count)

        return run

    subject = SimpleNamespace(call=lambda: torch.ones(1, 64), steps=1, width=64)
    monkeypatch.setattr(copies, "build", lambda *_, seed: subject)
    monkeypatch.setattr(latency, "block", block)
    monkeypatch.setattr(latency, "overwriting", lambda _: overwrite)
    monkeypatch.setattr(energy.Meter, "start", metered.append)
    monkeypatch.setattr(nvml, "at_work", lambda *_: Gpu(sm_mhz=1, celsius=2, throttle_reasons=()))
    monkeypatch.setattr(reference_kernel, "seconds", lambda _: 1e-3)
    cell = Cell(variant="sdpa", seq=8, setting=Setting(device="cuda", cache=cache))
    found = latency.measure(Attention, cell, Sampling())
    assert calls == (found.warmup + len(found.samples) if cache == "cold" else 0)
    assert metered == ([] if cache == "cold" else ["cuda"])  # overwriting draws energy too
    assert found.gpu == Gpu(sm_mhz=1, celsius=2, throttle_reasons=())
    assert found.launch == 1e-5


@pytest.mark.parametrize("budget", [None, 60.0])
def test_a_short_run_goes_on_until_the_energy_counter_has_moved(
    monkeypatch: pytest.MonkeyPatch, budget: float | None
) -> None:
    meter = energy.Meter(read=lambda: 10 * time.monotonic(), idle=0.0, begun=0.0, at_start=0.0)

    def start(_: str) -> energy.Meter:
        now = time.monotonic()
        return replace(meter, begun=now, at_start=10 * now, shortest=0.3)

    monkeypatch.setattr(energy.Meter, "start", start)
    cell, sampling = Cell(variant="sdpa", seq=8), Sampling(max_samples=5, time_budget=budget)
    run = latency.measure(catalog.load("sdpa"), cell, sampling)
    assert len(run.samples) <= 5
    assert run.joules is not None  # 0.3 s are 3 J, which many more calls have drawn
    assert run.joules < 0.3


def test_under_a_budget_the_slow_counter_of_a_gpu_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metered: list[str] = []
    subject = SimpleNamespace(call=lambda: torch.ones(1, 64), steps=1, width=64)
    monkeypatch.setattr(copies, "build", lambda *_, seed: subject)
    monkeypatch.setattr(latency, "block", lambda *_: playing(steady(1e-3), launch=1e-5))
    monkeypatch.setattr(energy.Meter, "start", metered.append)
    monkeypatch.setattr(nvml, "at_work", lambda *_: None)
    monkeypatch.setattr(reference_kernel, "seconds", lambda _: 1e-3)
    cell = Cell(variant="sdpa", seq=8, setting=Setting(device="cuda"))
    latency.measure(Attention, cell, Sampling(time_budget=60.0))
    assert metered == []


def test_a_sample_of_decoding_is_the_mean_of_a_period_and_the_worst_step_is_kept() -> None:
    steps = [1e-3, 1e-3, 1e-3, 9e-3]  # the last one closes a row
    periods = latency.Periods(playing([9.0, *steps[1:], *steps * 200], launch=1e-4), 4)
    run = periods.per_call(sample(periods.time, Sampling()))
    assert set(run.samples) == {3e-3}
    assert (run.worst_step, run.first_seconds, run.launch) == (9e-3, 9.0, 1e-4)
    assert run.warmup % 4 == 0
    assert periods.calls == run.warmup + 4 * len(run.samples)


def test_a_sample_of_copies_is_the_mean_of_their_turn_and_a_step_that_of_the_copies() -> None:
    turns = [1e-3, 3e-3, 5e-3, 7e-3]  # two steps of two copies: 2 ms, then 6 ms
    periods = latency.Periods(playing(turns * 200), 2, 2)
    run = periods.per_call(sample(periods.time, Sampling()))
    assert set(run.samples) == {4e-3}
    assert run.worst_step == 6e-3
    assert periods.calls == run.warmup + 4 * len(run.samples)
    periods = latency.Periods(playing(turns * 200), 1, 4)
    run = periods.per_call(sample(periods.time, Sampling()))
    assert (set(run.samples), run.worst_step) == ({4e-3}, None)


def test_steps_that_are_alike_have_no_worst() -> None:
    periods = latency.Periods(playing(steady(1e-3)), 1)
    run = sample(periods.time, Sampling())
    assert periods.per_call(run) is run
    assert run.worst_step is None


def test_an_output_that_many_calls_have_spoilt_fails_the_cell() -> None:
    class Grows(Attention):
        card = catalog.load("linformer").card

        def attend(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None = None) -> Tensor:
            return q.mul_(2) * 1  # into its input: after 128 calls it is infinite

    cell = Cell(variant="grows", seq=8, setting=Setting(dim=16, heads=2))
    with pytest.raises(output_check.NotFinite):
        latency.measure(Grows, cell, Sampling(max_samples=256, precision=0.001))
