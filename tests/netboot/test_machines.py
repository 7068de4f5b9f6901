"""Who boots what: rules, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootwright.common.errors import RunError, SourceError
from bootwright.netboot import rules
from bootwright.netboot.rules import parse, read, with_places

MAC = "52:54:00:12:34:56"


def test_a_rule_names_a_machine_an_image_and_a_profile() -> None:
    rule = parse("52-54-00-AB-CD-EF = images/x.toml:rescue")
    assert (rule.machine, rule.image, rule.profile) == ("52:54:00:ab:cd:ef", "images/x.toml", "rescue")
    assert not rule.is_place
    assert parse("rome=debian").is_place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not MACHINE=IMAGE"),
        ("rome", "'rome' is not MACHINE=IMAGE or MACHINE=IMAGE:PROFILE"),
        ("=demo", "is not MACHINE=IMAGE"),
        ("rome=", "is not MACHINE=IMAGE"),
        ("rome=two words", "is not MACHINE=IMAGE"),
        ("52:54:00:12:34=demo", "'52:54:00:12:34' is no MAC address such as"),
        ("52:54:00:12:34:5g=demo", "is no MAC address"),
        ("52:54-00:12-34:56=demo", "is no MAC address"),
    ],
)
def test_what_is_no_rule(text: str, message: str) -> None:
    with pytest.raises(RunError) as caught:
        parse(text)
    assert str(caught.value).startswith("machine: ") and message in str(caught.value)


def test_a_file_of_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.txt"
    file.write_text(f"# the bench\n{MAC}=debian  # rome\n\nparis=xen:rescue\n")
    assert [rule.machine for rule in read(file)] == [MAC, "paris"]
    file.write_text(f"{MAC}=debian\nparis\n")
    with pytest.raises(RunError, match=r"rules\.txt:2: machine: 'paris' is not"):
        read(file)
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read(tmp_path / "none")


def test_places_have_addresses() -> None:
    (rule,) = with_places([parse("rome=xen:rescue")], {"rome": "52:54:00:12:34:56"})
    assert (rule.machine, rule.name, rule.image, rule.profile) == (MAC, "rome", "xen", "rescue")
    with pytest.raises(RunError, match=r"'rom' is neither a MAC .* has one; those are rome; did you mean"):
        with_places([parse("rom=xen")], {"rome": MAC})
    with pytest.raises(RunError, match=r"'rom' is neither a MAC address nor a place that has one$"):
        with_places([parse("rom=xen")], {})


@pytest.mark.parametrize("tag", ["5254.0012.3456", "", "rome"])
def test_a_tag_that_is_no_address(tag: str) -> None:
    """It would be a line of dnsmasq's configuration."""
    with pytest.raises(RunError, match=r"is no MAC address|is not MACHINE=IMAGE"):
        with_places([parse("rome=xen")], {"rome": tag})


def test_two_rules_for_one_machine_are_both_named() -> None:
    said = [parse(f"{MAC}=demo"), parse("rome=xen:rescue")]
    with pytest.raises(RunError, match=rf"machine {MAC}: two rules are for it, {MAC}=demo and rome=xen:rescue"):
        with_places(said, {"rome": MAC.upper()})


def test_the_examples_of_the_module_are_rules() -> None:
    lines = [line.partition("#")[0].strip() for line in (rules.__doc__ or "").splitlines() if "=" in line]
    assert len([parse(line) for line in lines]) == 2
