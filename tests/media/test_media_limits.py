"""All media: large payloads are streamed, and a full disk leaves nothing half-made."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from media_fixtures import make_built
from project import ROOT

from bootwright.common.errors import RunError
from bootwright.media import MEDIA, Settings, chosen, pxe, settings

PROGRAM = """
import resource, sys
from pathlib import Path
from bootwright.common.errors import BootwrightError
from bootwright.media import MEDIA, Settings
sys.path.insert(0, sys.argv[4])
from media_fixtures import make_built
name, folder, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
built = make_built(folder, size=int(sys.argv[5]))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    MEDIA[name].make(built, Settings())
except BootwrightError as error:
    print(error, end="")
status = Path("/proc/self/status").read_text()  # its peak; that of getrusage is the parent's at first
print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""


def run(name: str, folder: Path, size: int, limit: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, name, folder, str(limit), ROOT / "tests/support", str(size)],
        env={"PYTHONPATH": str(ROOT / "host"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iso", "disk", "pxe"])
def test_payloads_are_not_held_in_memory(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path / "lab", size=400 << 20)
    assert done.stdout == ""
    assert int(done.stderr) < 80 << 10, "KiB"


@pytest.mark.parametrize(("name", "file"), [("iso", "lab.iso"), ("disk", "lab.img")])
@pytest.mark.parametrize("there", [False, True])
def test_no_room(name: str, file: str, there: bool, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    if there:
        (folder / file).write_bytes(b"an earlier one")
    done = run(name, folder, size=20 << 20, limit=(20 << 20) + 1000)
    assert done.stdout == f"{folder / file}: cannot be written: File too large"
    assert sorted(p.name for p in folder.iterdir()) == ["lab.efi", "lab.elf", *[file] * there]
    assert not there or (folder / file).read_bytes() == b"an earlier one"


def test_no_room_for_iPXE(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "ipxe"
    programs.mkdir()
    for program in pxe.IPXE.files:
        (programs / program).write_bytes(bytes(1 << 20))
    built = make_built(tmp_path / "lab")
    monkeypatch.setattr(pxe.IPXE, "folders", [programs])
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, kept[1]))
    try:
        with pytest.raises(Exception, match="cannot be written: File too large"):
            pxe.make(built, Settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert sorted(p.name for p in built.elf.parent.iterdir()) == ["lab.efi", "lab.elf"]


def test_chosen() -> None:
    assert chosen("") == ("elf", "efi")
    assert chosen("pxe, iso") == ("iso", "pxe")
    assert chosen("all") == chosen("iso,all") == tuple(MEDIA)
    with pytest.raises(RunError, match=r"^media: 'tape' is none of elf, efi, iso, disk, pxe, all$"):
        chosen("iso,tape")


def test_what_is_said_of_media_that_are_not_wanted() -> None:
    assert settings(("disk",), 1 << 30, 4096) == Settings(1 << 30, 4096)
    assert settings(("iso",), None, 512) == Settings()
    with pytest.raises(RunError, match=r"^size: is of the disk alone, and elf, efi has none$"):
        settings(chosen(""), 1 << 30, 512)
    with pytest.raises(RunError, match=r"^sector: is of the disk alone, and iso has none$"):
        settings(("iso",), None, 4096)
    with pytest.raises(RunError, match=r"^sector: there are no media for sectors of 513 bytes"):
        settings(("disk",), None, 513)


@pytest.mark.slow
def test_no_room_for_the_image_itself(tmp_path: Path) -> None:
    """The command line says it in a sentence, whatever was being written."""
    kernel = ROOT / "stub/kernels/demo.asm"
    description = tmp_path / f"no-room-{tmp_path.name}.toml"
    description.write_text(DESCRIPTION.format(kernel=kernel))
    (tmp_path / "ramdisk").write_bytes(bytes(1 << 20))
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "--search-root", ROOT, "image", description],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000)),
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.endswith(": File too large\n") and done.stderr.count("\n") == 1, done.stderr
    assert list((ROOT / "build").glob(f"*{description.stem}*")) == []


DESCRIPTION = """\
[image]
pack = "none"

[[domain]]
name = "dom0"
permissions = ["control", "hardware"]
functions = ["initial-domain"]
memory = "64M"
kernel = "{kernel}"
ramdisk = "ramdisk"
"""
