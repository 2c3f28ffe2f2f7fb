"""The measured peak performance of a device: the roofline that every cell is compared with."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from msgspec.structs import replace

from effattn_cli.devices.timing import timer
from effattn_cli.host.background_load import BackgroundLoad
from effattn_cli.measure.modules import DTYPES
from effattn_cli.records import Bandwidth, Roofline
from effattn_cli.setting import Dtype

#: (batch, rows, inner, columns) of the products: square ones, and attention scores.
PRODUCTS = ((8, 1024, 64, 1024), (1, 1024, 1024, 1024), (1, 2048, 2048, 2048))
#: Working sets of an operator in bytes: from what fits in the innermost cache to what fits in none,
#: and more closely spaced where the last cache ends, at 32 to 64 MiB on most of today's machines.
WORKING_SETS = (1 << 17, 1 << 20, 1 << 23, 1 << 24, 1 << 25, 1 << 26, 1 << 28)
#: An accelerator needs more work to be used fully; the time of smaller operators is their launch.
LARGE_PRODUCTS = ((1, 8192, 8192, 8192),)
LARGE_SETS = (1 << 25, 1 << 26, 1 << 28, 1 << 30)
PASSES, AGREE = 4, 0.1
SLOW = 10.0  # times as long as sums from memory: undisturbed exponentials never take that long
BUSY = 0.5  # cores; with less background load some tries are undisturbed, and the best one counts
TRIES = 5  # the best counts, as the peak of the device is wanted
SHORTEST = 2e-4  # seconds of a try; shorter calls are repeated within one
LONG = 0.3  # seconds; longer calls are tried once, and no larger ones are tried
SMALL = 1000  # operators in a row, to measure the overhead of one


def measure(device: str, dtype: Dtype, threads: int) -> Roofline:
    """The roofline of a device in a dtype; takes some seconds on a CPU.

    Background load, or a slower clock, can outlast all tries of one measurement: passes are
    repeated until two agree, and the best values are used. Any doubts are reported.
    """
    load, apart = BackgroundLoad(), 0.0
    best = _pass(device, dtype, threads)
    for _ in range(PASSES - 1):
        again = _pass(device, dtype, threads)
        pairs = zip(*map(_rates, (best, again)), strict=True)
        apart = max(abs(a / b - 1) for a, b in pairs)
        best = _best_of(best, again)
        if apart < AGREE:
            break
    busy = load.cores() if device == "cpu" else None  # an accelerator works by itself
    return replace(best, doubts=tuple(_doubts(best, apart, busy)))


def _doubts(roofline: Roofline, apart: float, busy: float | None) -> Iterator[str]:
    """Why the device may be faster than measured; `apart` is how much the last pass differs from
    the best of the earlier ones, `busy` how many cores other processes kept busy.
    """
    if busy is not None and busy >= BUSY:
        yield f"other processes kept {busy:.1f} cores busy"
    if apart >= AGREE:
        yield f"its passes differ by {100 * apart:.0f} %"
    if (times := _sums(roofline) / roofline.exponentials) > SLOW:
        yield f"exponentials take {times:.0f} times as long as sums"


def _sums(roofline: Roofline) -> float:
    """Sums per second of numbers that fit in no cache, each of which moves three of them."""
    return roofline.bandwidths[-1].speed / (3 * DTYPES[roofline.dtype].itemsize)


def _rates(roofline: Roofline) -> tuple[float, float, float]:
    return roofline.flops, roofline.exponentials, roofline.bandwidths[-1].speed


def _best_of(one: Roofline, other: Roofline) -> Roofline:
    pairs = zip(one.bandwidths, other.bandwidths, strict=True)
    return replace(
        one,
        flops=max(one.flops, other.flops),
        exponentials=max(one.exponentials, other.exponentials),
        bandwidths=tuple(max(pair, key=lambda point: point.speed) for pair in pairs),
        dispatch=min(one.dispatch, other.dispatch),
    )


def _pass(device: str, dtype: Dtype, threads: int) -> Roofline:
    kind = {"device": torch.device(device), "dtype": DTYPES[dtype]}
    sets = WORKING_SETS if device == "cpu" else LARGE_SETS
    return Roofline(
        device=device,
        dtype=dtype,
        threads=threads,
        flops=_products(kind),
        exponentials=_exponentials(kind),
        bandwidths=tuple(
            Bandwidth(working_set_bytes=size, speed=_sum(kind, size)) for size in sets
        ),
        dispatch=_small(kind),
    )


def _products(kind: dict[str, Any]) -> float:
    """FLOPs per second of the fastest product."""
    best = 0.0
    shapes = PRODUCTS if kind["device"].type == "cpu" else PRODUCTS + LARGE_PRODUCTS
    for batch, rows, inner, columns in shapes:
        a = torch.randn(batch, rows, inner, **kind)
        b = torch.randn(batch, inner, columns, **kind)
        out = torch.empty(batch, rows, columns, **kind)
        seconds = _quickest(kind, partial(torch.bmm, a, b, out=out))
        best = max(best, 2 * batch * rows * inner * columns / seconds)
        if seconds > LONG:
            break
    return best


def _sum(kind: dict[str, Any], working_set: int) -> float:
    """Bytes per second of c = a + b, where the three together have `working_set` bytes."""
    size = working_set // 3 // kind["dtype"].itemsize
    a, b, c = (torch.ones(size, **kind) for _ in range(3))
    return 3 * a.nbytes / _quickest(kind, lambda: torch.add(a, b, out=c))


def _exponentials(kind: dict[str, Any]) -> float:
    x = torch.zeros(1 << (16 if kind["device"].type == "cpu" else 24), **kind)
    out = torch.empty_like(x)
    return x.numel() / _quickest(kind, lambda: torch.exp(x, out=out))


def _small(kind: dict[str, Any]) -> float:
    """Seconds of an operator on a tiny tensor: the overhead of dispatching or launching one."""
    x = torch.ones(8, **kind)

    def many() -> None:
        for _ in range(SMALL):
            torch.add(x, x)

    return _quickest(kind, many) / SMALL


def _quickest(kind: dict[str, Any], call: Callable[[], Any]) -> float:
    time_one = timer(str(kind["device"]))
    if (once := time_one(call)) > LONG:
        return once
    repeats = max(1, round(SHORTEST / max(time_one(call), 1e-7)))

    def repeated() -> None:
        for _ in range(repeats):
            call()

    return min(time_one(repeated) for _ in range(TRIES)) / repeats
