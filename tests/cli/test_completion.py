"""Completion, as a bash has it: the script sourced, its function called as the shell calls it."""

import subprocess

import pytest
from project import ROOT

ASK = """\
source <(./bootstrap completion)
COMP_WORDS=("${@}")
_bootwright ./bootstrap "${@: -1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "some", "none"),
    [
        (["ima"], {"image"}, {"run", "imag"}),
        (["image", ""], {"demo", "debian"}, {"image"}),
        (["image", "deb"], {"debian", "debian-linux"}, {"demo"}),
        (["run", "demo", "--vi"], {"--via"}, {"demo"}),
        (["run", "demo", "--via", ""], {"grub", "efi", "pxe"}, {"demo"}),
        (["run", "--via", "grub", "de"], {"demo"}, {"grub"}),
        (["run", "demo", "--firmware", "u"], {"uefi"}, {"bios"}),
        (["image", "--media", ""], {"iso", "disk", "all"}, set()),
        (["explain", "E040"], {"E0401", "E0404"}, {"E0501"}),
        (["flash", "demo", ""], set(), {"demo", "debian"}),
        (["explain", "--log", ""], set(), {"E0404"}),
        (["nothing", ""], set(), {"demo"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_completes(words: list[str], some: set[str], none: set[str]) -> None:
    command = ["bash", "--noprofile", "--norc", "-c", ASK, "bash", "./bootstrap", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert some <= found
    assert not none & found
