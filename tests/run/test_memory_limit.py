"""Whatever fits by the dry run is measured: instruments take nothing away from a cell."""

import json
from pathlib import Path

import pytest

from effattn_cli import catalog
from effattn_cli.catalog import Catalog
from tests.running import effattn


def measured_at_its_own_need(tmp_path: Path, variant: str, *words: str) -> None:
    """Measured with a limit of one byte more than what is counted."""
    always = Catalog().variant(variant).card.causal == "always"
    mask = "--causal" if always else "--no-causal"
    sweep = ["profile", "-v", variant, "--baseline", "none", "--rounds", "1", "-q", "--json"]
    sweep += ["--threads", "1", mask, *words]
    none = effattn(*sweep, "--memory-limit", "1KiB", "--out", str(tmp_path / "none.yaml"))
    (record,) = json.loads(none.stdout)["records"]
    assert record["failure"]["reason"] == "out-of-memory"
    limit = f"{record['needs_bytes'] + 1}B"
    found = effattn(*sweep, "--memory-limit", limit, "--out", str(tmp_path / "some.yaml"))
    (record,) = json.loads(found.stdout)["records"]
    assert record["failure"] is None, record["failure"]
    assert record["runs"]


@pytest.mark.in_ci
@pytest.mark.parametrize("variant", ["softmax", "big-bird"])
def test_a_cell_that_just_fits_is_measured(tmp_path: Path, variant: str) -> None:
    measured_at_its_own_need(tmp_path, variant, "-s", "1k")


@pytest.mark.in_ci
def test_weights_that_are_copied_while_they_are_made_fit(tmp_path: Path) -> None:
    measured_at_its_own_need(tmp_path, "product-key-memory", "-s", "128", "--dtype", "bf16")


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["forward", "train"])
@pytest.mark.parametrize("variant", catalog.bundled_names())
def test_every_variant_that_just_fits_is_measured(tmp_path: Path, variant: str, phase: str) -> None:
    measured_at_its_own_need(tmp_path, variant, "-s", "1k", "--phase", phase)
