"""The surface for other programs is what docs/library.md says, its example runs, and it is imported piece by piece."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest
from project import ROOT

import bootwright
from bootwright.common.errors import DescriptionError, RunError

PAGE = (ROOT / "docs/library.md").read_text(encoding="utf-8")
EXAMPLE = textwrap.dedent("".join(re.findall(r"^(?: {4}.*\n|\n(?= {4}))+", PAGE, re.MULTILINE)[0]))
ROWS = dict(re.findall(r"^\| `(\w+)(?:\(.*?\))?` \| (.*) \|$", PAGE, re.MULTILINE))


def test_the_page_names_all_and_nothing_else() -> None:
    assert set(ROWS) == set(bootwright.__all__)
    for name in ("build", "check", "inspect", "run"):
        said = re.search(rf"^\| `{name}\((.*?)\)`", PAGE, re.MULTILINE)
        assert said
        parameters = inspect.signature(getattr(bootwright, name)).parameters
        assert re.findall(r"\w+", said[1]) == list(parameters)
        assert [p.kind for p in parameters.values()][1:] == [inspect.Parameter.KEYWORD_ONLY] * (len(parameters) - 1)
    for name, extra in (("Image", set()), ("Boot", {"ok"}), ("Where", set())):
        words = {one.name for one in fields(getattr(bootwright, name))} | extra
        assert all(re.search(rf"\b{word}\b", ROWS[name]) for word in words)


def test_everything_offered_has_a_docstring_and_types() -> None:
    for name in set(bootwright.__all__) - {"__version__"}:
        thing = getattr(bootwright, name)
        assert thing.__doc__, name
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            assert signature.return_annotation is not inspect.Signature.empty
            assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bootwright.nothing


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {"folder": tmp_path}
    exec(compile(ast.parse(EXAMPLE), "docs/library.md", "exec"), names)
    said = capsys.readouterr().out
    assert isinstance(names["image"], bootwright.Image)
    assert f"efi {names['image'].build_id} ['demo', 'demo.txt']" in said
    assert isinstance(names["boot"], bootwright.Boot)
    assert names["boot"].ok and "demo: powering off" in names["boot"].transcript


def test_an_image_boots_as_it_was_built(tmp_path: Path) -> None:
    stages: list[str] = []
    image = bootwright.build(ROOT / "images/demo.toml", output=tmp_path, progress=stages.append)
    assert set(image.files) == {"elf", "efi"}
    assert "reading the description" in stages
    boot = bootwright.run(image, fail=("powering",))
    assert (boot.outcome, boot.ok) == ("failed", False)
    (tmp_path / "demo/demo.json").unlink()
    with pytest.raises(bootwright.BootwrightError):
        bootwright.run(image)


def test_errors_have_their_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[image]\ncolour = 1\n[[domain]]\nname = "a"\nmemory = 5\nkernel = "none"\n')
    for refuse in (bootwright.check, bootwright.build):
        with pytest.raises(bootwright.ErrorList) as raised:
            refuse(path)
        places = {one.where.line for one in raised.value.errors if one.where}
        assert {2, 5} <= places
        assert any(isinstance(one, DescriptionError) for one in raised.value.errors)
    with pytest.raises(RunError, match="media: 'tape' is none of"):
        bootwright.build(path, media=("tape",))
    assert capsys.readouterr() == ("", "")


def test_it_is_imported_piece_by_piece() -> None:
    code = "import sys, bootwright; print(len([name for name in sys.modules if name.startswith('bootwright')]))"
    environment = {"PYTHONPATH": str(ROOT / "host")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
