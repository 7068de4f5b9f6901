"""What an error is about: subjects in front of its sentence, and its place, put there by whoever knows them."""

from __future__ import annotations

import pytest

from bootwright.common.errors import BootwrightError, ErrorList, KernelError, PlanError, SourceError, Where, about, why

OUTER, INNER = Where("lab.toml", 3), Where("lab.toml", 7, 9)


def test_a_subject_and_a_place() -> None:
    with pytest.raises(KernelError) as raised, about('domain "dom0"', OUTER), about("kernel vmlinuz", joint=" "):
        raise KernelError("is empty")
    assert str(raised.value) == 'lab.toml:3: domain "dom0": kernel vmlinuz is empty'
    assert type(raised.value) is KernelError


def test_an_inner_place_stands() -> None:
    with pytest.raises(PlanError) as raised, about("[image]", OUTER), about("name", INNER):
        raise PlanError("is missing")
    assert str(raised.value) == "lab.toml:7:9: [image]: name: is missing"


def test_a_subject_stands_once() -> None:
    with pytest.raises(PlanError) as raised, about('domain "dom0"'), about('domain "dom0"'):
        raise PlanError("is alone")
    assert str(raised.value) == 'domain "dom0": is alone'


def test_each_of_several() -> None:
    with pytest.raises(ErrorList) as raised, about("[image]", OUTER):
        raise ErrorList([SourceError("one"), PlanError("two", INNER)])
    assert str(raised.value) == "lab.toml:3: [image]: one\nlab.toml:7:9: [image]: two"
    assert [type(error) for error in raised.value.errors] == [SourceError, PlanError]


def test_no_subject_but_a_place() -> None:
    with pytest.raises(BootwrightError) as raised, about("", OUTER):
        raise BootwrightError("what is wrong")
    assert str(raised.value) == "lab.toml:3: what is wrong"


def test_what_is_no_error_of_ours_passes() -> None:
    with pytest.raises(ValueError, match=r"^as it was$"), about("[image]"):
        raise ValueError("as it was")


def test_why_a_file_cannot_be_had(tmp_path: object) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        open(f"{tmp_path}/missing").close()
    assert why(missing.value) == "No such file or directory"
    with pytest.raises(ValueError, match="null") as zero:
        open("zero\0byte").close()
    assert why(zero.value) == "embedded null byte"
