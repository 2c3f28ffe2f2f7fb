"""The fingerprint, on machines that tell much and on machines that tell little."""

from typing import Any

import psutil
import pytest
import torch

from effattn_cli.devices import fingerprint
from effattn_cli.host import container
from effattn_cli.run import worker
from effattn_cli.run.jobs import DescribeMachine
from tests.measure.fake_blocks import a_gpu


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (1.0, 1), (2.9, 2)])
def test_no_more_threads_than_the_quota_pays_for(
    monkeypatch: pytest.MonkeyPatch, quota: float, cores: int
) -> None:
    monkeypatch.setattr(container, "cores", lambda _: quota)
    found = fingerprint.fingerprint("cpu")
    assert (found.allowed_cores, found.cores) == (quota, cores)


def refusing(*_: object, **__: object) -> Any:
    raise NotImplementedError


def test_what_a_system_does_not_tell_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_freq", refusing)
    monkeypatch.setattr(psutil, "cpu_count", lambda **_: None)
    monkeypatch.setattr(torch.__config__, "show", lambda: "PyTorch built with nothing")
    found = fingerprint.fingerprint("cpu")
    told = (found.cpu_mhz, found.physical_cores, found.logical_cores, found.blas)
    assert told == (None,) * 4
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    assert fingerprint._cpu_mhz() is None


def test_the_blas_is_the_one_that_torch_was_built_with(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "  - Build settings: BLAS_INFO=open, BUILD_TYPE=Release"
    monkeypatch.setattr(torch.__config__, "show", lambda: text)
    assert fingerprint.fingerprint("cpu").blas == "open"


def test_of_several_devices_the_first_accelerator_is_the_one_described(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_gpu(monkeypatch)
    monkeypatch.setattr(fingerprint, "resolve", lambda text: text.split(","))
    answers: list[Any] = []
    worker._describe(DescribeMachine(device="cpu,cuda"), answers.append)
    worker._describe(DescribeMachine(device="cpu"), answers.append)
    assert [answer.machine.accelerator for answer in answers] == ["A GPU", None]
