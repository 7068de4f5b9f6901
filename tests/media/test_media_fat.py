"""media.fat: what is written reads back by mtools and by fsck.fat."""

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootwright.media import extents, fat
from bootwright.media.extents import Piece, Zeros


def run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    assert done.returncode == 0, done
    return done.stdout.decode()


def write(path: Path, files: dict[str, Piece], bits: int, size: int | None = None, sector: int = fat.SECTOR) -> None:
    image = fat.build(files, bits, "a label", 0x1234ABCD, size or fat.least(files, bits, sector), sector)
    with path.open("wb") as file:
        extents.write(image, file)


def check(path: Path, files: dict[str, Piece], tmp_path: Path) -> None:
    """Both readers find it in order, and the files as they were."""
    said = run("/sbin/fsck.fat", "-n", "-v", path)
    assert "differences" not in said and "Dirty" not in said, said
    for name, content in files.items():
        out = tmp_path / "out"
        out.unlink(missing_ok=True)
        run("mcopy", "-n", "-i", path, f"::{name}", out)
        with extents.Reader([content]) as reader:
            assert out.read_bytes() == reader.read()


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("bits", [16, 32])
def test_read_back(bits: int, sector: int, tmp_path: Path) -> None:
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(range(251)) * 4000)
    files = {"EFI/BOOT/BOOTX64.EFI": extents.whole(payload), "boot/image.elf": b"hello", "boot/mark": b""}
    path = tmp_path / "fat"
    write(path, files, bits, sector=sector)
    check(path, files, tmp_path)
    assert f"{sector} bytes per logical sector" in run("/sbin/fsck.fat", "-n", "-v", path)
    listed = run("mdir", "-/", "-b", "-i", path).split()
    assert [name for name in listed if not name.endswith("/")] == [f"::/{name}" for name in files]
    said = run("minfo", "-i", path)
    assert 'disk label="A_LABEL' in said and "serial number: 1234ABCD" in said
    assert f"FAT{bits}" in said


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.one_of(st.integers(0, 5000), st.sampled_from([511, 512, 513, 1 << 20])), max_size=40),
    bits=st.sampled_from([16, 32]),
    more=st.integers(0, 3000),
)
def test_any_files(sizes: list[int], bits: int, more: int, tmp_path: Path) -> None:
    files: dict[str, Piece] = {f"d{n % 3}/F{n}.bin": bytes([n % 256]) * size for n, size in enumerate(sizes)}
    files = {name.upper(): content for name, content in files.items()}
    path = tmp_path / "fat"
    write(path, files, bits, fat.least(files, bits) + more * fat.SECTOR)
    check(path, files, tmp_path)


def test_the_kind_follows_the_size() -> None:
    assert fat.choose({"A": Zeros(30 << 20)}) == 16
    assert fat.choose({"A": Zeros(33 << 20)}) == 32


@pytest.mark.parametrize("size", [(252 << 20) - 1, 252 << 20, (252 << 20) + 1, 260 << 20, 3 << 30])
def test_large_files(size: int, tmp_path: Path) -> None:
    files: dict[str, Piece] = {"A": Zeros(size)}
    path = tmp_path / "fat"
    write(path, files, 32)
    said = run("/sbin/fsck.fat", "-n", "-v", path)
    assert f"{1 + -(-size // (4096 if path.stat().st_size >= 260 << 20 else 512))}/" in said, said
    assert path.stat().st_size < size * 1.04 + (8 << 20)


@pytest.mark.parametrize(
    ("gigabytes", "cluster"), [(7, 4), (8, 8), (15, 8), (16, 16), (31, 16), (32, 32), (1100, 32), (2047, 32)]
)
def test_clusters_grow_with_the_size(gigabytes: int, cluster: int, tmp_path: Path) -> None:
    """By the table of FAT 1.03, page 20; so no size that sectors can count has more clusters than FAT32."""
    files: dict[str, Piece] = {"A": b"content"}
    path = tmp_path / "fat"
    write(path, files, 32, gigabytes << 30)
    with path.open("rb") as file:
        boot = file.read(512)
    assert boot[13] * 512 == cluster << 10
    sectors, table = int.from_bytes(boot[32:36], "little"), int.from_bytes(boot[36:40], "little")
    assert sectors == gigabytes << 21
    clusters = (sectors - 32 - 2 * table) // boot[13]
    assert 65525 <= clusters <= 0x0FFFFFF5 and table * 128 >= clusters + 2
    run("mcopy", "-n", "-i", path, "::A", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"content"


@pytest.mark.parametrize(("sector", "terabytes"), [(512, 2), (4096, 8)])
def test_the_largest_size(sector: int, terabytes: int) -> None:
    assert (terabytes << 40) - (1 << 20) < fat.most(sector) < terabytes << 40
    with pytest.raises(struct.error):
        fat.build({}, 32, "", 0, 1 << 44, 512)


@pytest.mark.parametrize(("bits", "clusters"), [(16, 4110), (16, 30848), (32, 65600)])
def test_a_little_more_room_is_never_too_little(bits: int, clusters: int, tmp_path: Path) -> None:
    """Where a sector more makes the FATs longer, fewer clusters are left: then some sectors stay unused."""
    unused = 0
    for more in range(300 if bits == 16 else 140):
        files: dict[str, Piece] = {"A": Zeros((clusters + more) * fat.SECTOR)}
        size = fat.least(files, bits)
        for sectors in range(5):
            image = fat.build(files, bits, "", 0, size + sectors * fat.SECTOR)
            with extents.Reader(image[:1]) as reader:
                boot = reader.read(64)
            said = struct.unpack_from("<H", boot, 19)[0] or struct.unpack_from("<I", boot, 32)[0]
            unused += size // fat.SECTOR + sectors - said
            assert size // fat.SECTOR <= said, "never less than what is enough"
    assert unused, "this finds such sizes"
