"""Files that people write: small, and text."""

from pathlib import Path

from effattn_cli.errors import UsageError

MAX_BYTES = 1 << 20


def small_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file of at most so many bytes.

    Raises:
        UsageError: it is missing, no file, no text, or larger than anyone would write.
    """
    try:
        if not path.is_file():
            raise UsageError(f"there is no file {str(path)!r}")
        if path.stat().st_size > max_bytes:
            raise UsageError(f"{path}: larger than {max_bytes >> 20} MiB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"cannot read {str(path)!r}: {why}") from error
