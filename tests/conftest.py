"""What all tests have in common."""

import signal
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from effattn_cli import library, store
from effattn_cli.app.sweep import a_profile
from effattn_cli.devices.fingerprint import fingerprint
from effattn_cli.run import kept_rooflines
from tests import running

# One thread for the tests' own small tensors: on a busy machine two wait for one another.
torch.set_num_threads(1)
# No test asserts a time: a busy machine takes longer for an example than hypothesis allows.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# A shell has what it runs in the background ignore Ctrl-C, and so would all that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `in_ci` is slow."""
    for item in items:
        if item.get_closest_marker("in_ci"):
            item.add_marker("slow")


@pytest.fixture(scope="session", autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    running.end()


@pytest.fixture(scope="session", autouse=True)
def _own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's; in this one a roofline is kept, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        machine = a_profile(fingerprint("cpu"))
        known = [running.a_roofline("cpu", "float32", threads) for threads in range(1, 5)]
        kept_rooflines.keep(machine, known)
        yield


@pytest.fixture
def no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shipped speaks of real variants, not of curves that bear their names."""
    shipped = library.references
    monkeypatch.setattr(
        library,
        "references",
        lambda form=store.PROFILE: {} if form is store.EVALUATION else shipped(form),
    )
