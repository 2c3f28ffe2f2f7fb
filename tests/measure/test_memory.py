"""Peak memory of programs that allocate what they say."""

from dataclasses import asdict
from pathlib import Path

import pytest

from effattn_cli.records import Cell, Memory, Sampling
from effattn_cli.run.launch import ForkServer, Job

MB = 10**6
PLUGIN = '''
import torch
from effattn_cli.attention import Attention, Card

class Known(Attention):
    """Allocates a known amount beside its output."""
    card = Card(title="Known", families=("test",), paper="", year=2026, time="N", memory="N",
                causal="optional", kind="own mechanism")

    def attend(self, q, k, v, real=None):
        held = torch.ones({size}, dtype=torch.uint8)
        held += 1
        return v * 2
'''


@pytest.mark.parametrize("size", [10 * MB, 100 * MB, 2000 * MB])
def test_a_known_amount_is_found(tmp_path: Path, size: int) -> None:
    path = tmp_path / "known.py"
    path.write_text(PLUGIN.format(size=size))
    cell = Cell(variant="known", seq=1024, dim=64, heads=2, threads=2)
    payload = {"cell": asdict(cell), "path": str(path), "sampling": asdict(Sampling())}
    with ForkServer() as server:
        reply = server.run(Job(name="memory", payload=payload | {"expected": None}))
    found = Memory(**reply.answers[0]["memory"])
    known = size + 1024 * 64 * 4
    assert found.peak_bytes == pytest.approx(known, abs=4096)
    assert found.input_bytes == 3 * 1024 * 64 * 4
    if found.resident_bytes is not None:  # the system's own view
        assert found.resident_bytes == pytest.approx(known, rel=0.02, abs=MB)
