"""A machine that is not here, as a plan assumes it: `memory=24GiB,flops=80T,bandwidth=1TB`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from effattn_cli import library, units
from effattn_cli.errors import UsageError, unknown
from effattn_cli.quantities import parse_bytes, parse_seconds
from effattn_cli.records import Bandwidth, Profile, Roofline
from effattn_cli.setting import Setting

KEYS = ("memory", "flops", "bandwidth", "dispatch")
SCALES = {"": 1.0, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
#: What is taken where only FLOPs or only a bandwidth is said: FLOPs for a byte, of GPUs and CPUs of
#: today between 20 and 300; exponentials for a FLOP; seconds to launch an operator.
FLOPS_A_BYTE = 100.0
FLOPS_AN_EXPONENTIAL = 64.0
DISPATCH = 5e-6


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What is assumed of a machine; None of what is as it is here."""

    memory: int | None = None  # bytes
    flops: float | None = None  # a second
    bandwidth: float | None = None  # bytes a second
    dispatch: float = DISPATCH
    rooflines: tuple[Roofline, ...] = ()  # of another machine's profile
    of: str = ""  # that profile's name

    @property
    def words(self) -> str:
        """The machine in a line."""
        parts = [self.of] if self.of else []
        if self.memory is not None:
            parts.append(units.size(self.memory))
        if self.flops is not None:
            parts.append(f"{units.count(self.flops)}FLOP/s")
        if self.bandwidth is not None:
            parts.append(f"{units.count(self.bandwidth)}B/s")
        return ", ".join(parts)

    def profile(self, profile: Profile) -> Profile:
        """The same plan on the assumed machine."""
        sampling = profile.sampling
        if self.memory is not None:
            sampling = replace(sampling, memory_limit=self.memory)
        settings = {record.cell.setting for record in profile.records}
        under = [one for one in map(self._under, settings) if one is not None]
        kept = () if under else profile.rooflines
        return replace(profile, sampling=sampling, rooflines=(*under, *kept))

    def _under(self, setting: Setting) -> Roofline | None:
        """The roofline of a setting there; None where it is the one here."""
        if self.rooflines:
            near = _nearest(self.rooflines, setting)
            return replace(
                near, device=setting.device, dtype=setting.dtype, threads=setting.threads
            )
        flops, bandwidth = self.flops, self.bandwidth
        if flops is None and bandwidth is None:
            return None
        flops = flops or (bandwidth or 0.0) * FLOPS_A_BYTE
        bandwidth = bandwidth or flops / FLOPS_A_BYTE
        return Roofline(
            device=setting.device,
            dtype=setting.dtype,
            threads=setting.threads,
            flops=flops,
            exponentials=flops / FLOPS_AN_EXPONENTIAL,
            bandwidths=(Bandwidth(working_set_bytes=1, speed=bandwidth),),
            dispatch=self.dispatch,
        )


def _nearest(rooflines: Iterable[Roofline], setting: Setting) -> Roofline:
    """That of the dtype, if there is one; else the first."""
    every = list(rooflines)
    return next((roofline for roofline in every if roofline.dtype == setting.dtype), every[0])


def assumed(text: str) -> Assumed:
    """The machine that a text assumes: amounts by name, or a profile whose machine it is.

    Raises:
        UsageError: it cannot be read.
    """
    amounts: dict[str, str] = {}
    names: list[str] = []
    for item in (part.strip() for part in text.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            names.append(item)
        elif key.strip() not in KEYS:
            raise unknown("assumption", key.strip(), KEYS)
        else:
            amounts[key.strip()] = value.strip()
    if len(names) > 1 or (not names and not amounts) or names == [""]:
        hint = "write memory=24GiB,flops=80T,bandwidth=1TB, or a profile's name"
        raise UsageError(f"--assume: {text!r:.80} is not a valid machine", hint)
    made = _typed(amounts)
    return _of_profile(names[0], made) if names else made


def _typed(amounts: Mapping[str, str]) -> Assumed:
    memory, flops = amounts.get("memory"), amounts.get("flops")
    bandwidth, dispatch = amounts.get("bandwidth"), amounts.get("dispatch")
    return Assumed(
        memory=parse_bytes(memory, "--assume memory") if memory else None,
        flops=_flops(flops) if flops else None,
        bandwidth=_bandwidth(bandwidth) if bandwidth else None,
        dispatch=parse_seconds(dispatch, "--assume dispatch") if dispatch else DISPATCH,
    )


def _of_profile(name: str, made: Assumed) -> Assumed:
    profile = library.read(name)
    if not profile.rooflines:
        raise UsageError(f"--assume: {name} holds no roofline", "effattn devices measures one")
    here = profile.machine
    memory = here.accelerator_memory_bytes or here.allowed_bytes or here.memory_bytes
    return Assumed(
        memory=made.memory or memory,
        dispatch=made.dispatch,
        rooflines=profile.rooflines,
        of=f"{name} ({here.words})",
    )


def _flops(text: str) -> float:
    """FLOPs a second, as `80T` or `80TFLOP/s`."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([MGTP]?)(?:FLOPS?|FLOP/s)?", text)
    if match is None or not float(match[1]):
        raise UsageError(f"--assume flops: {text!r:.40} is not a number (example: 80T)")
    return float(match[1]) * SCALES[match[2]]


def _bandwidth(text: str) -> float:
    """Bytes a second, as `1TB` or `900GB/s`."""
    return float(parse_bytes(text.removesuffix("/s"), "--assume bandwidth"))
