"""The processor, as the system describes it."""

from pathlib import Path

from effattn_cli.host import processor


def test_the_largest_cache(tmp_path: Path) -> None:
    assert processor.cache_bytes(tmp_path) == processor.USUAL_CACHE
    for number, size in enumerate(("48K\n", "32K\n", "1024K\n", "98304K\n", "what")):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        (folder / "size").write_text(size)
    assert processor.cache_bytes(tmp_path) == 96 * 2**20
