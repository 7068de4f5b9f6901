"""The stages of boots made by chance: what the reference computes lies in the picture, and a log says the same."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import C
from pictures import planned
from worlds import World, run, world

from bootwright.chart import boots, regions
from bootwright.chart.boots import Chart, Part
from bootwright.chart.regions import Stage
from bootwright.common.ranges import Range
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.lab.fit import Fit
from bootwright.plan.records import Plan
from bootwright.reference.machine import LoaderModule, normalise


def charted(found: World) -> tuple[Fit, str, Range]:
    """A world's boot as lab.fit gives it, and the console of the stub under Unicorn."""
    stub, expected = run(found)
    assert isinstance(found.plan, Plan)
    brought = {string.rpartition("/")[2].split(" ")[0]: (place, data) for place, data, string in found.files}
    modules = tuple(LoaderModule(brought[m.name][0], m.size, m.name) for m in found.plan.modules if not m.embedded)
    place = Range(stub.symbols["__image_start"], stub.symbols["__image_end"])
    ranges = [line for line in expected.lines if line.startswith("bootwright: memory: [")]
    fit = Fit(
        "test", expected.failure and expected.failure.message, expected.lines, _map(ranges), (), (), found.plan, place,
        modules, expected,
    )  # fmt: skip
    return fit, stub.serial.decode(), place


def _map(lines: list[str]) -> tuple[MemoryRange, ...]:
    parts = [line.removeprefix("bootwright: memory: [").replace(",", "").replace(")", "").split() for line in lines]
    return tuple(MemoryRange(int(start, 16), int(end, 16), int(kind)) for start, end, _, kind in parts)


def bytes_of(stage: Stage, kinds: set[str]) -> list[Range]:
    return [region.range for region in stage.regions if region.kind in kinds]


def covered(place: Range, by: list[Range]) -> bool:
    return sum(max(0, min(place.end, one.end) - max(place.start, one.start)) for one in by) == place.size


@given(st.integers(0, 1 << 32))
@settings(max_examples=25, deadline=None)
def test_what_the_reference_computes_is_in_the_picture(seed: int) -> None:
    found, console, stub = charted(world(seed))
    chart = boots.of_fit(found, [], "by chance")
    assert chart.stages[0].name == boots.LOADED
    for stage in chart.stages:
        for one, other in zip(stage.regions, stage.regions[1:], strict=False):
            assert one.range.end <= other.range.start
        ram = sum(part.end - part.start for part in normalise(found.ranges) if part.type == 1)
        assert stage.free <= ram
    # The worlds' RSDP lies in a page of the stub.
    assert covered(stub, bytes_of(chart.stages[0], {regions.STUB, regions.CLASH}))
    boot = found.boot
    assert boot is not None
    if boot.failure is None:
        last = chart.stages[2]
        kinds = {regions.KERNEL, regions.RAMDISK, regions.HYPERVISOR, regions.MODULE, regions.RESIDENT, regions.PACKED}
        for number, pieces in enumerate(boot.pieces):
            for piece in pieces or [boot.modules[number]]:
                assert covered(piece, bytes_of(last, kinds))
        told = Range.sized(boot.information_start, len(boot.information))
        assert covered(told, bytes_of(last, {regions.HANDOVER}))
        assert not bytes_of(last, {regions.STUB})
    else:
        assert len(chart.stages) == 1 and any("it does not boot: " in note for note in chart.notes)

    logged = boots.of_log(console, found, "", [], "by chance")
    assert len(logged.stages) == len(chart.stages)
    assert boot.failure is not None or logged.stages == chart.stages


@pytest.mark.parametrize("name", ["demo", "two"])
def test_an_image_on_a_plain_pc(name: str) -> None:
    found = planned(name)
    chart = found.chart
    assert [stage.name for stage in chart.stages] == [boots.LOADED, boots.UNPACKED, boots.LAUNCHED]
    ram = sum(part.end - part.start for part in found.fit.ranges if part.type == 1)
    for stage in chart.stages:
        assert stage.used + stage.free == ram, "on a plain PC all that is used is RAM"
    whats = [{region.what for region in stage.regions} for stage in chart.stages]
    assert {"stub's code", "stub's working memory", "tables"} <= whats[0] & whats[1]
    if name == "two":
        granted = {r.what: r.range.size >> 20 for r in chart.stages[2].regions if r.kind in ("domain", "shared")}
        assert granted == {"memory of domain first": 32, "memory of domain second": 48, "shared range count": 2}
        assert {"resident part", "resident part's data"} <= whats[2]
    else:
        assert "kernel demo" in whats[2] and "ramdisk demo.txt" in whats[2]


def test_the_log_of_a_partition_says_the_same() -> None:
    found = planned("two")
    computed = found.fit.boot
    assert computed is not None
    chart = boots.of_log("\n".join(computed.lines), found.fit, found.build, found.parts, found.subject)
    assert chart == found.chart


def test_a_log_of_another_build_is_said_to_be_one() -> None:
    found = planned("demo")
    assert found.fit.boot is not None
    text = "\r\n".join(found.fit.boot.lines).replace(found.build, "00000000")
    chart = boots.of_log(text, found.fit, found.build, found.parts, "by log")
    said = f"the log is of image demo build 00000000, what is planned now is demo build {found.build}"
    assert chart.notes == (said,)


def test_a_log_without_a_map_has_what_it_says() -> None:
    found = planned("demo")
    lines = found.fit.boot.shown(C["LOG_NORMAL"]) if found.fit.boot else ()
    twice = [line for line in lines for _ in range(2)]  # as EFI's console and the serial line show it
    chart = boots.of_log("\n".join(["GRUB", *twice]), found.fit, found.build, found.parts, "by log")
    for stage, whole in zip(chart.stages, found.chart.stages, strict=True):
        used = [r for r in whole.regions if r.kind not in regions.NOT_USED]
        assert list(stage.regions) == used and not stage.free
    assert "has no memory map" in chart.notes[0]


def test_a_log_that_ends_early_has_fewer_stages() -> None:
    found = planned("demo")
    lines = found.fit.boot.lines if found.fit.boot else ()
    for end in range(len(lines)):
        chart = boots.of_log("\n".join(lines[:end]), found.fit, found.build, found.parts, "by log")
        assert len(chart.stages) == (0 if end == 0 else 1)


@given(st.integers(0, 1 << 32))
@settings(max_examples=40, deadline=None)
def test_a_damaged_log_raises_nothing(seed: int) -> None:
    dice = random.Random(seed)
    found = planned("two")
    text = list("\n".join(found.fit.boot.lines if found.fit.boot else ()))
    for _ in range(dice.randrange(1, 40)):
        text[dice.randrange(len(text))] = dice.choice("0123456789f \n[),xabc")
    chart = boots.of_log("".join(text), found.fit, found.build, found.parts, "by log")
    assert isinstance(chart, Chart)


def test_parts_of_a_stub_are_whole() -> None:
    sections = [(".text", Range(0, 5)), (".rodata", Range(5, 7)), (".bss", Range(8, 10)), (".tables", Range(12, 13))]
    assert boots.stub_parts(sections, Range(0, 16)) == [
        Part(Range(0, 8), regions.STUB, "stub's code"),
        Part(Range(8, 12), regions.STUB, "stub's working memory"),
        Part(Range(12, 16), regions.TABLES, "tables"),
    ]


def test_what_lies_in_no_ram_is_seen() -> None:
    """The stub at 1 MiB, over ACPI tables, and with its end where there is no memory."""
    found = planned("demo")
    parts = (
        Part(Range(0x100000, 0x17F000), regions.STUB, "stub's"),
        Part(Range(0x17F000, 0x180000), "tables", "tables"),
    )
    plan = replace(found.plan, modules=())
    holes = ((0x106000, 0x107000, 3), (0x107000, 0x170000, 1), (0x200000, 0x4000000, 1))
    ranges = tuple(MemoryRange(*part) for part in ((0, 0x106000, 1), *holes))
    stub = Range(0x100000, 0x180000)
    fit = replace(found.fit, ranges=ranges, stub=stub, plan=plan, modules=(), boot=None, reason="why")
    chart = boots.of_fit(fit, parts, "on a machine")
    (stage,) = chart.stages
    clashes = [(region.range, region.what) for region in stage.regions if region.kind == regions.CLASH]
    assert clashes == [
        (Range(0x106000, 0x107000), "stub's, over ACPI tables"),
        (Range(0x170000, 0x17F000), "stub's, where no memory is"),
        (Range(0x17F000, 0x180000), "tables, where no memory is"),
    ]
    assert chart.notes == ("it does not boot: why",)
