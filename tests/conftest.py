"""What all tests have in common."""

from collections.abc import Iterator

import pytest
import torch

from tests import running

# One thread for the tests' own small tensors: on a busy machine two wait for one another.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    running.end()
