"""The real command on a CUDA device."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def profiled(words: str, folder: Path) -> Any:
    """The document that `effattn profile` prints; its profile is saved in the folder."""
    command = [sys.executable, "-m", "effattn_cli", "profile", *words.split(), "--json"]
    command += ["-o", str(folder / "p.yaml")]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
