"""Text as editors of other systems save it: with a byte order mark, with carriage returns, in UTF-16; and errors that
name what the user wrote.
"""

from __future__ import annotations

import codecs
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import lab_report
import pytest
import samples
from trees import domain, hyperlaunch, module

from bootwright.asm import assemble
from bootwright.common import utf8
from bootwright.common.errors import BootwrightError
from bootwright.description import load
from bootwright.devicetree import dts, fdt
from bootwright.devicetree.dtc import DTC
from bootwright.devicetree.dts import write
from bootwright.image import build
from bootwright.inputs import resolve
from bootwright.lab import report

TOML = f'[image]\nname = "lab"\n{samples.DOMAIN}'
TREE = write(hyperlaunch(domain(module(), memory=b"64M\0", functions=(4).to_bytes(4, "big"))))
ASM = ".section .text\n.global start\nstart:\n        ret\n"
MACHINE = json.dumps(lab_report.DOCUMENT)


def words(path: Path) -> object:
    """A tree, less the places where it is written."""
    return fdt.write(dts.read(path)[0])


Read = Callable[[Path], object]
TEXTS: dict[str, tuple[str, str, Read]] = {
    "description": ("lab.toml", TOML, load.load),
    "tree": ("lab.dts", TREE, words),
    "assembly": ("lab.asm", ASM, lambda path: assemble.assemble(path).sections.keys()),
    "machine": ("lab.json", MACHINE, lambda path: report.load(str(path)).document),
}


@pytest.fixture(params=TEXTS)
def text(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str, Read]:
    name, said, read = TEXTS[request.param]
    return tmp_path / name, said, read


@pytest.mark.parametrize("change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n"), lambda t: t])
def test_a_mark_and_other_line_ends_change_nothing(text: tuple[Path, str, Read], change: Callable[[str], str]) -> None:
    path, said, read = text
    path.write_bytes(said.encode())
    plain = read(path)
    path.write_bytes(change(said).encode())
    assert read(path) == plain


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_named(text: tuple[Path, str, Read], encoding: str) -> None:
    path, said, read = text
    path.write_bytes(said.encode(encoding))
    if encoding == "utf-32":
        assert utf8.other(path.read_bytes()) == "UTF-32"
    with pytest.raises(BootwrightError, match=rf"is {encoding[:6].upper()} text: save it as UTF-8"):
        read(path)


def test_a_capture_in_another_encoding_is_named() -> None:
    capture = lab_report.marked()
    assert report.extract(codecs.BOM_UTF8 + capture.encode()).document == lab_report.DOCUMENT
    with pytest.raises(BootwrightError, match="the capture is UTF-16 text"):
        report.extract(capture.encode("utf-16"))


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_places_are_those_of_the_file_whether_it_has_a_mark_or_not(tmp_path: Path, bom: str) -> None:
    (tmp_path / "lab.toml").write_text(f'{bom}imag = 3\n[image]\nname = "lab"\n{samples.DOMAIN}', encoding="utf-8")
    with pytest.raises(BootwrightError, match=r"lab\.toml:1:1: "):
        load.load(tmp_path / "lab.toml")
    path = tmp_path / "lab.dts"
    path.write_text(bom + TREE.replace("memory =", "memory ="), encoding="utf-8")
    places = dts.read(path)[1]
    line = next(n for n, one in enumerate(TREE.splitlines(), 1) if "memory =" in one)
    where = places["/chosen/hypervisor/dom0:memory"]
    assert (where.path, where.line) == (str(path), line)
    path.write_text(f"{bom}/dts-v1/;\n/ {{ a = <1> }};\n", encoding="utf-8")
    with pytest.raises(BootwrightError, match=rf"^{path}:2:"):
        dts.read(path)


def test_a_tree_with_a_mark_finds_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "more.dtsi").write_text("/ { b = <1>; };\n", encoding="utf-8")
    path = tmp_path / "lab.dts"
    path.write_text('\ufeff/dts-v1/;\n/ { a = <1>; };\n/include/ "more.dtsi"\n', encoding="utf-8")
    assert set(dts.read(path)[0].properties) == {"a", "b"}
    assert [one.name for one in DTC.included(path)] == ["more.dtsi"]
    (tmp_path / "more.dtsi").write_text("\ufeff/ { b = <1>; };\n", encoding="utf-8")
    with pytest.raises(BootwrightError, match=r"more\.dtsi: an included file starts with a byte order mark"):
        dts.read(path)


SCRIPT = f"#!{sys.executable}\nraise SystemExit(7)\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (SCRIPT, ""),
        ("\ufeff" + SCRIPT, "starts with a byte order mark"),
        (SCRIPT.replace("\n", "\r\n"), "line 1 ends with a carriage return"),
    ],
)
def test_an_init_script_that_linux_does_not_start(tmp_path: Path, script: str, message: str) -> None:
    init = tmp_path / "init"
    init.write_bytes(script.encode())
    init.chmod(0o755)
    if message:
        with pytest.raises(BootwrightError, match=message):
            resolve._script(init)
        with pytest.raises(OSError):  # this system's Linux does not, either
            subprocess.run([init], check=False)
    else:
        assert resolve._script(init) == init
        assert subprocess.run([init], check=False).returncode == 7


# --- what errors name ------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["linux", "multiboot1", "multiboot2"])
def test_a_kernel_from_source_is_named_as_it_stands_in_the_description(
    project: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "lab.toml"
    kernel = 'kernel = "lab.asm"'
    path.write_text(TOML.replace('kernel = "good.elf"', f'{kernel}\nprotocol = "{protocol}"'), encoding="utf-8")
    (project / "lab.asm").write_text(ASM, encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(project / "gone"))
    (project / "gone").mkdir()
    with pytest.raises(BootwrightError) as raised:
        build.build(path, lambda stage: None)
    assert f"kernel {project / 'lab.asm'} " in str(raised.value)
    assert str(project / "gone") not in str(raised.value)
