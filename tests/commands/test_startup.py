"""What must answer at once does not load what takes long."""

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ["torch", "numpy", "psutil", "yaml", "submitit", "ray"]


@pytest.mark.parametrize(
    ("words", "banned"),
    [
        (["--help"], SLOW),
        (["profile", "--help"], SLOW),
        (["variants", "--names"], [*SLOW, "rich.table"]),
        (["variants"], SLOW),
        (["variants", "linformer"], SLOW),
    ],
)
def test_modules_that_are_not_loaded(words: list[str], banned: list[str]) -> None:
    code = (
        "import sys, effattn_cli.cli as cli\n"
        f"sys.argv = ['effattn', *{words!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {banned!r} if name in sys.modules], file=sys.stderr)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "[]"


@pytest.mark.in_ci
def test_the_parent_never_loads_torch_while_it_profiles(tmp_path: Path) -> None:
    words = ["profile", "-v", "sdpa", "-s", "32", "--rounds", "1", "-q", "-o", str(tmp_path / "p")]
    code = (
        "import sys, effattn_cli.cli as cli\n"
        f"sys.argv = ['effattn', *{words!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    print(end.code, file=sys.stderr)\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.splitlines()[-2:] == ["0", "False"]


def test_completion_knows_the_variants_without_loading_them() -> None:
    from effattn_cli.commands.completion import variant_names

    assert list(variant_names("linf")) == ["linformer"]
    assert list(variant_names("sdpa,linf")) == ["sdpa,linformer"]
