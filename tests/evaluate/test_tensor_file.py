"""Tensors that a user captured: what can be read, and that all else is one line."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli.errors import UsageError
from effattn_cli.evaluate import fidelity, tensor_file

CODES = {
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16",
    torch.int64: "I64",
}  # fmt: skip


def written(path: Path, tensors: dict[str, Tensor], header: Any = None) -> Path:
    """A file as the format asks for."""
    parts, place = {}, 0
    for name, tensor in tensors.items():
        parts[name] = {
            "dtype": CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + tensor.nbytes],
        }
        place += tensor.nbytes
    text = json.dumps({"__metadata__": {"from": "a test"}} | parts if header is None else header)
    content = b"".join(
        bytes(tensor.view(torch.uint8).flatten().tolist()) for tensor in tensors.values()
    )
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + content)
    return path


def qkv(*shape: int, **others: tuple[int, ...]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(*others.get(name, shape)) for name in "qkv"}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(4, 10, 8), (2, 4, 10, 8)])
def test_tensors_come_back_as_they_are(
    tmp_path: Path, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in qkv(*shape).items()}
    found = tensor_file.look(written(tmp_path / "t.safetensors", tensors))
    batch = shape[0] if len(shape) == 4 else 1
    assert (found.batch, found.heads, found.kv_heads, found.tokens, found.width) == (
        batch, 4, 4, 10, 8,
    )  # fmt: skip
    drawn = fidelity.loaded(found)
    for name, tensor in zip("qkv", (drawn.q_BHTK, drawn.k_BGTK, drawn.v_BGTK), strict=True):
        assert torch.equal(tensor, tensors[name].reshape(batch, 4, 10, 8))


def test_keys_may_be_shared_and_other_tensors_there(tmp_path: Path) -> None:
    tensors = qkv(8, 10, 4, k=(2, 10, 4), v=(2, 10, 4)) | {"mask": torch.ones(10).long()}
    found = tensor_file.look(written(tmp_path / "t.safetensors", tensors))
    assert (found.heads, found.kv_heads) == (8, 2)


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    one = tensor_file.look(written(tmp_path / "a.safetensors", qkv(4, 10, 8)))
    two = tensor_file.look(written(tmp_path / "b.safetensors", qkv(4, 10, 8)))
    other = tensor_file.look(written(tmp_path / "c.safetensors", qkv(4, 11, 8)))
    assert one.hash == two.hash != other.hash


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"q": torch.ones(4, 10, 8)}, "there is no tensor 'k', but q"),
        ({"weights": torch.ones(2)}, "there is no tensor 'q', but weights"),
        (qkv(4, 10, 8, q=(4, 11, 8)), r"tokens or width differ: q \(4, 11, 8\), k \(4, 10, 8\)"),
        (qkv(4, 10, 8, v=(4, 10, 9)), r"differ: .* v \(4, 10, 9\)"),
        (qkv(4, 10, 8, k=(3, 10, 8), v=(3, 10, 8)), "4 heads of q are not a multiple of 3 heads"),
        (qkv(10, 8), r"q is \(10, 8\); its shape is \(heads, tokens, width\)"),
        (qkv(4, 0, 8), r"q is \(4, 0, 8\); its shape is"),
        ({name: torch.ones(4, 10, 8).long() for name in "qkv"}, "q is I64, not one of F64, F32"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, tensors: dict[str, Tensor], message: str
) -> None:
    path = written(tmp_path / "t.safetensors", tensors)
    with pytest.raises(UsageError, match=message) as raised:
        tensor_file.look(path)
    assert "\n" not in str(raised.value)
    assert raised.value.hint == tensor_file.RECIPE


PLACE = {"dtype": "F32", "shape": [1, 2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([1, 2], "no .safetensors file: Expected `object`"),
        ({"q": 3}, "no .safetensors file: Expected `object`"),
        ({"q": PLACE | {"shape": [-1, 2]}}, "no .safetensors file"),
        ({name: PLACE | {"data_offsets": [0, 17]} for name in "qkv"}, "q does not fit where"),
        ({name: PLACE | {"data_offsets": [800, 816]} for name in "qkv"}, "q does not fit where"),
        ({name: PLACE | {"data_offsets": [16, 0]} for name in "qkv"}, "q does not fit where"),
        ({name: PLACE | {"dtype": "F8_E4M3"} for name in "qkv"}, "q is F8_E4M3, not one of"),
        ({name: PLACE | {"shape": [2**62, 2**62, 4]} for name in "qkv"}, "q does not fit where"),
    ],
)
def test_a_header_of_a_stranger_is_one_line(tmp_path: Path, header: Any, message: str) -> None:
    path = written(tmp_path / "t.safetensors", {"q": torch.ones(1, 2, 2)}, header)
    with pytest.raises(UsageError, match=message):
        tensor_file.look(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"\xff" * 100, struct.pack("<Q", 50) + b"{}", b"x" * 9]
)
def test_what_is_no_such_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"safetensors"):
        tensor_file.look(path)
    with pytest.raises(UsageError, match="cannot read"):
        tensor_file.look(tmp_path / "none")


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tensors = qkv(1, 4, 4)
    tensors["k"][0, 1, 2] = float("nan")
    with pytest.raises(UsageError, match="not finite"):
        fidelity.loaded(tensor_file.look(written(tmp_path / "t.safetensors", tensors)))
