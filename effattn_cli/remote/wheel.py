"""This effattn as a wheel, for a machine that has none: as it is installed, or in a checkout."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from effattn_cli import __version__

PACKAGE = Path(__file__).parents[1]
BESIDE = ("variants", "profiles")  # in a checkout; inside the package in a wheel
INFO = f"effattn-{__version__}.dist-info"
NAME = f"effattn-{__version__}-py3-none-any.whl"
TAGS = "Wheel-Version: 1.0\nGenerator: effattn\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
POINTS = "[console_scripts]\neffattn = effattn_cli.cli:main\n"


def wheel() -> bytes:
    """The wheel's bytes."""
    about = metadata.distribution("effattn").read_text("METADATA") or ""
    parts = dict(_modules()) | {
        f"{INFO}/METADATA": about.encode(),
        f"{INFO}/WHEEL": TAGS.encode(),
        f"{INFO}/entry_points.txt": POINTS.encode(),
    }
    record = f"{INFO}/RECORD"
    rows = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in parts.items()]
    parts[record] = "".join([*rows, f"{record},,\n"]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return made.getvalue()


def _modules() -> Iterator[tuple[str, bytes]]:
    """The package's files, by their places in a wheel."""
    yield from _files(PACKAGE, "effattn_cli")
    for name in BESIDE:
        if (folder := PACKAGE.parent / name).is_dir() and not (PACKAGE / name).is_dir():
            yield from _files(folder, f"effattn_cli/{name}")


def _files(folder: Path, place: str) -> Iterator[tuple[str, bytes]]:
    stand_in = PACKAGE / "variants.py"  # of a checkout
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != stand_in and "__pycache__" not in path.parts:
            yield f"{place}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
