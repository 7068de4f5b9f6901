"""What the tests of the media share: an image of their own, and the readers that they use."""

import subprocess
from pathlib import Path

from bootwright.image.built import Built, Loaded

BUILD_ID = "0123456789abcdef0123456789abcdef01234567"


def make_built(folder: Path, *, efi: bool = True, modules: int = 0, size: int = 50_000) -> Built:
    """An image that is only bytes: NAME.elf, NAME.efi and modules, with a few bytes at both ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("lab.elf", "lab.efi")[: 2 if efi else 1]:
        with (folder / name).open("wb") as file:
            file.write(name.encode() * 100)
            file.seek(size - 3)
            file.write(b"end")
    loaded = []
    for number in range(modules):
        (folder / "modules").mkdir(exist_ok=True)
        (folder / f"modules/m{number}").write_bytes(b"%d" % number * 5000)
        loaded.append(Loaded(f"m{number}", f"modules/m{number}"))
    application = folder / "lab.efi" if efi else None
    return Built("lab", folder / "lab.elf", tuple(loaded), 1 << 20, 1, (), efi=application, build_id=BUILD_ID)


def read(*command: str | Path, cwd: Path | None = None) -> str:
    """What a program says; it has to succeed."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, done
    return done.stdout.decode(errors="replace")


def same(folder: Path, one: Path | str, other: Path | str) -> bool:
    """Whether two files have the same bytes."""
    return subprocess.run(["cmp", one, other], cwd=folder, check=False).returncode == 0
