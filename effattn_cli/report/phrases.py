"""What several views say in the same words: reasons, values with their marks, commands."""

import math

from effattn_cli.analysis.reliability import half_width
from effattn_cli.metrics import Metric
from effattn_cli.records import Failure, Profile, Reason, Record
from effattn_cli.setting import Setting
from effattn_cli.units import clean, number

REASONS: dict[Reason, str] = {
    "unsupported": "not supported",
    "out-of-memory": "out of memory",
    "timeout": "over the time limit",
    "crashed": "crashed",
    "raised": "raised an error",
    "not-finite": "gave values that are not finite",
    "not-equal": "gave other values than eager torch",
    "wrong-shape": "gave a result of the wrong shape",
    "bad-answer": "gave an answer that is not a measurement",
    "too-costly": "not started",
}


def origin(profile: Profile) -> str:
    """The machine, its torch, the day, and what measured it: without these no number is one."""
    here = profile.machine
    machine = f"{here.cpu}, {number(here.cores, 'core')}"
    if here.accelerator:
        machine += f", {here.accelerator}"
    day = profile.created[:10]
    part = f" · shard {profile.shard.words}" if profile.shard else ""
    return clean(f"{machine} · torch {here.torch} · {day} · effattn {here.effattn}{part}")


def measuring(label: str, seq: int, setting: Setting) -> str:
    """The command that measures a variant at a length in this setting."""
    options = f" {setting.options}" if setting.options else ""
    return f"effattn profile -v {clean(label)} -s {seq}{options}"


def reason(failure: Failure, joint: str = ": ") -> str:
    """`out of memory: would need 41 GiB`, in one line."""
    message = clean(failure.message).strip()
    return joint.join([REASONS[failure.reason], *([message] if message else [])])


def value(record: Record, metric: Metric) -> str:
    """`1.23 ms` or `3.1 MiB`, with `~` where it is predicted; nothing where there is none."""
    amount = metric.value(record) if record.failure is None else None
    if amount is None:
        return ""
    text = metric.show(amount)
    return f"~{text}" if metric.is_predicted(record) else text


def plus_minus(record: Record) -> str:
    """`±2 %`: rounded up, so that it never says less than is unknown."""
    half = half_width(record)
    return "" if half is None else f"±{math.ceil(round(100 * half, 6)) or 1} %"
