"""Every faulty description of descriptions/bad gives exactly the message beside it, with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import samples

from bootwright import description, model, plan, sources
from bootwright.errors import BootwrightError

BAD = Path(__file__).parent / "descriptions" / "bad"


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.toml")))
def test_bad_description(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    samples.write_kernels(tmp_path)
    shutil.copy(BAD / f"{name}.toml", tmp_path)
    with pytest.raises(BootwrightError) as caught:
        described = description.load(Path(f"{name}.toml"))
        info = model.build(described, sources.resolve(described, Path("work"), Path("cache")))
        plan.make(described, info, Path("work"))
    assert str(caught.value) == (BAD / f"{name}.txt").read_text().rstrip("\n")


def test_a_description_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BootwrightError) as caught:
        description.load(Path("lab.toml"))
    assert str(caught.value) == "lab.toml: the description cannot be read: No such file or directory"


def test_every_message_has_its_description() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.toml")}
