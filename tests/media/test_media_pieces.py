"""media.pieces: written and read alike, and files that change are found out."""

import io
from pathlib import Path

import pytest

from bootwright.common.errors import SourceError
from bootwright.media import extents
from bootwright.media.extents import Reader, Zeros


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(bytes(range(256)) * 9)
    return path


def test_written_and_read_alike(payload: Path, tmp_path: Path) -> None:
    listed = [b"head", Zeros(1000), extents.whole(payload), b"", b"tail", Zeros(5)]
    expected = b"head" + bytes(1000) + payload.read_bytes() + b"tail" + bytes(5)
    with (tmp_path / "out").open("wb") as file:
        extents.write(listed, file)
    assert (tmp_path / "out").read_bytes() == expected
    assert extents.total(listed) == len(expected)
    with Reader(listed) as reader:
        assert reader.read() == expected
        assert reader.read(1) == b""
        for start, count in ((0, 3), (2, 2000), (1003, 2), (len(expected) - 6, 99), (1500, 0)):
            assert reader.seek(start) == start
            assert reader.read(count) == expected[start : start + count]
        assert reader.seek(-2, io.SEEK_END) == len(expected) - 2


def test_padded() -> None:
    assert extents.padded([b"ab"], 2) == [b"ab"]
    assert extents.padded([b"ab"], 5) == [b"ab", Zeros(3)]


@pytest.mark.parametrize("change", [b"longer" * 999, b"short"])
def test_a_file_that_changes_its_size(change: bytes, payload: Path, tmp_path: Path) -> None:
    listed = [extents.whole(payload)]
    payload.write_bytes(change)
    with (
        (tmp_path / "out").open("wb") as file,
        pytest.raises(SourceError, match="bytes long now; it was 2304"),
    ):
        extents.write(listed, file)
    if len(change) < 2304:
        with Reader(listed) as reader, pytest.raises(SourceError, match="is 5 bytes long now"):
            reader.read()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        extents.whole(tmp_path / "none")
