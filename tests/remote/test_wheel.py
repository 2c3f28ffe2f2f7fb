"""The wheel that goes to a machine without effattn."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from effattn_cli import __version__
from effattn_cli.remote import wheel


def test_it_holds_the_package_as_a_build_makes_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(wheel.wheel())) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
        record = archive.read(f"{wheel.INFO}/RECORD").decode()
    assert {line.partition(",")[0] for line in record.splitlines()} == set(names)
    assert "effattn_cli/variants/linformer.py" in names
    assert "effattn_cli/variants.py" not in names  # the stand-in of a checkout
    assert any(name.startswith("effattn_cli/profiles/") for name in names)
    assert not any("__pycache__" in name for name in names)
    found = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, '.'); sys.argv = ['effattn', '-V'];"
         "from effattn_cli import cli; assert cli.__file__.startswith(sys.argv[0][:0] + '/');"
         "cli.main()"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == f"effattn {__version__}\n", found.stderr
