"""Captured queries, keys and values, provided by a user in a `.safetensors` file.

The format: 8 bytes with the length of the header, little endian; the header, JSON, with dtype,
shape and position of each tensor; then the tensors. Nothing else is read, and nothing is unpickled.
"""

import hashlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from effattn_cli.errors import UsageError
from effattn_cli.machine import Size

NAMES = ("q", "k", "v")
BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}
LONGEST = 1 << 20  # bytes of a header
LARGEST = 8 << 30  # bytes of a file
RECIPE = "docs/evaluate.md says how to capture them"


class Tensor(Struct, frozen=True):
    """The position of a tensor after the header."""

    dtype: str
    shape: Annotated[tuple[Size, ...], Meta(max_length=8)]
    data_offsets: tuple[Size, Size]


class Captured(Struct, frozen=True, kw_only=True):
    """A file with matching q, k and v, and its identity."""

    path: str
    start: int  # of the tensors
    tensors: Mapping[str, Tensor]
    batch: int
    heads: int
    kv_heads: int
    tokens: int
    width: int
    hash: str  # of the content


def look(path: Path) -> Captured:
    """The contents of the file. Loads no tensor, nor torch.

    Raises:
        UsageError: it cannot be read, or has no q, k and v that fit one another.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if not 8 < size <= LARGEST:
                raise _wrong(path, f"{size} bytes are no .safetensors file that is read")
            length = int.from_bytes(file.read(8), "little")
            if length > min(LONGEST, size - 8):
                raise _wrong(path, f"no .safetensors file: its header would take {length} bytes")
            header = file.read(length)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    tensors = _tensors(path, header, size - 8 - length)
    (B, H, T, K), (_, G, *_), _ = (_four(tensor.shape) for tensor in tensors.values())
    return Captured(
        path=str(path.absolute()), start=8 + length, tensors=tensors,
        batch=B, heads=H, kv_heads=G, tokens=T, width=K, hash=digest,
    )  # fmt: skip


def _tensors(path: Path, header: bytes, room: int) -> dict[str, Tensor]:
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        tensors = {
            name: msgspec.json.decode(raw[name], type=Tensor) for name in NAMES if name in raw
        }
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _wrong(path, f"no .safetensors file: {str(error)[:100]}") from error
    for name in NAMES:
        if name not in tensors:
            there = ", ".join(sorted(raw.keys() - {"__metadata__"})[:5]) or "nothing"
            raise _wrong(path, f"there is no tensor {name!r}, but {there[:100]}")
        tensor = tensors[name]
        if tensor.dtype not in BYTES:
            raise _wrong(path, f"{name} is {tensor.dtype[:20]}, not one of {', '.join(BYTES)}")
        first, end = tensor.data_offsets
        if end - first != BYTES[tensor.dtype] * prod(tensor.shape) or not 0 <= first <= end <= room:
            raise _wrong(path, f"{name} does not fit where it stands")
    _fit(path, tensors)
    return tensors


def _fit(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Whether q, k and v can belong to one attention."""
    for name, tensor in tensors.items():
        shape = tensor.shape
        if len(shape) not in {3, 4} or not all(shape):
            what = "(heads, tokens, width), or has a batch before"
            raise _wrong(path, f"{name} is {_shown(shape)}; its shape is {what}")
    q, k, v = (_four(tensor.shape) for tensor in tensors.values())
    if k != v or (q[0], *q[2:]) != (k[0], *k[2:]):
        shapes = ", ".join(f"{name} {_shown(tensors[name].shape)}" for name in NAMES)
        raise _wrong(path, f"batch, tokens or width differ: {shapes}")
    if q[1] % k[1]:
        raise _wrong(path, f"{q[1]} heads of q are not a multiple of {k[1]} heads of k")


def _four(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (4 - len(shape)) + shape


def _shown(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError(f"--qkv {str(path)!r}: {what}", RECIPE)
