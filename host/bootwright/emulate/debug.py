"""`run --gdb`: QEMU waits for a debugger, and NAME.gdb is what one reads to follow the stub.

    gdb -x build/demo/demo.gdb          # lines and records of the stub, the commands `stages` and `mode`

gdb keeps one architecture for a whole boot, the 64-bit one that QEMU names: 16- and 32-bit code is followed by its
source lines, and `mode` says in which mode the cpu is.
"""

from __future__ import annotations

from pathlib import Path

from bootwright.common.abi import stub_directory
from bootwright.common.errors import RunError
from bootwright.common.tool import Tool
from bootwright.image.built import Built

# What main calls, and where kernels are entered: the places to stop at, in the order of a boot.
STAGES = (
    "start",
    "main",
    "find_tables",
    "normalise_memory",
    "find_modules",
    "builder_init",
    "builder_create_domains",
    "launch",
    "panic",
)
# A socket's path may have 107 bytes (sun_path in unix(7)).
_LONGEST_SOCKET = 107

_SCRIPT = """\
# For gdb: the stub of image {name}. QEMU waits at {socket}: invoke run {name} --gdb
set architecture i386:x86-64
set confirm off
file {elf}
directory {sources}
target remote {socket}

define stages
{breaks}
end
document stages
Stop at every stage of the stub: {stages}.
end

define mode
  if ($cr0 & 1) == 0
    printf "16-bit real mode at %#lx:%#lx\\n", $cs, $rip
  else
    if ($efer & 0x400) == 0
      printf "32-bit protected mode at %#lx\\n", $rip
    else
      printf "64-bit mode at %#lx\\n", $rip
    end
  end
  info line *$rip
end
document mode
Say in which mode the cpu is, and which line of source comes next.
end
"""


class Gdb(Tool):
    """gdb, which the user starts."""

    name = "gdb"
    package = "gdb"
    does = "follows the stub by its source"
    optional = True
    version_form = r"^GNU gdb .*?(\d+\.\d\S*)$"


GDB = Gdb()


def arguments(socket: Path) -> list[str]:
    """QEMU's options to wait for a debugger before the first instruction."""
    return ["-S", "-gdb", f"unix:{socket},server=on,wait=off"]


def socket_of(built: Built) -> Path:
    """Where QEMU waits. Raises RunError for a folder whose path is too long for a socket."""
    path = (built.elf.parent / "gdb.sock").resolve()
    if len(str(path).encode()) > _LONGEST_SOCKET:
        raise RunError(f"{path}: a socket's path may have {_LONGEST_SOCKET} bytes, not {len(str(path).encode())}")
    return path


def write_script(built: Built) -> Path:
    """Write NAME.gdb beside the image. OSError passes."""
    path = built.elf.with_suffix(".gdb")
    path.write_text(
        _SCRIPT.format(
            name=built.name,
            elf=built.elf.resolve(),
            sources=stub_directory().parent,
            socket=socket_of(built),
            breaks="\n".join(f"  break {stage}" for stage in STAGES),
            stages=", ".join(STAGES),
        ),
        encoding="utf-8",
    )
    return path
