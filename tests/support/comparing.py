"""Boots of real machines against the reference: what the stub printed there, and the checksum of what it told
the kernel, must be what boot.boot computes for that machine."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lief
from elftools.elf.elffile import ELFFile
from project import ROOT

from bootwright.common import abi
from bootwright.common.ranges import Range
from bootwright.image import build
from bootwright.image import built as image_built
from bootwright.inputs import resolve
from bootwright.partition import resident
from bootwright.plan import tables
from bootwright.plan.records import Plan
from bootwright.reference import boot, profiles
from bootwright.reference import transcript as reference_transcript
from bootwright.reference.machine import LoaderModule, Machine, Platform

C = abi.load().constants
# Position and size of red, green and blue on QEMU's screen in a graphics mode.
COLOURS = bytes([16, 8, 8, 8, 0, 8])


def variant(folder: Path, name: str, *changes: tuple[str, str], log: str = "debug") -> image_built.Built:
    """The image of images/NAME.toml with other text in it, built below `folder`, which places.root gives."""
    if not (folder / "images").exists():
        shutil.copytree(ROOT / "images", folder / "images")
        (folder / "stub").symlink_to(ROOT / "stub")
    path = folder / "images" / f"{name}.toml"
    text = (ROOT / f"images/{name}.toml").read_text().replace("[image]\n", f'[image]\nlog = "{log}"\n')
    for old, new in changes:
        assert old in text, f"{name}.toml has no {old!r}"
        text = text.replace(old, new)
    path.write_text(text)
    return build.build(path, lambda stage: None)


def stub_range(elf: ELFFile) -> Range:
    """Where an image's stub lies, with its tables and all that it uses."""
    symbols = elf.get_section_by_name(".symtab")
    start, end = (symbols.get_symbol_by_name(f"__image_{name}")[0]["st_value"] for name in ("start", "end"))
    return Range(start, end)


@dataclass(frozen=True)
class File:
    """An image as it was started. stub: where its stub lies at its link address; loaded: what lies at which."""

    stub: Range
    tables: bytes
    loaded: dict[int, bytes]


def read_elf(path: Path) -> File:
    """NAME.elf."""
    elf = ELFFile(io.BytesIO(path.read_bytes()))
    loaded = {segment["p_paddr"]: segment.data() for segment in elf.iter_segments("PT_LOAD")}
    return File(stub_range(elf), tables.of_section(elf.get_section_by_name(".tables").data()), loaded)


def read_application(path: Path) -> File:
    """NAME.efi; its headers lie in the page before the stub."""
    application = lief.PE.parse(str(path))
    assert application is not None
    base = C["IMAGE_BASE"] - C["PAGE_SIZE"]
    found = {base + s.virtual_address: bytes(s.content)[: s.virtual_size] for s in application.sections}
    section = application.get_section(".tables")
    end = base + section.virtual_address + section.virtual_size
    stub = Range(C["IMAGE_BASE"], -(-end // C["PAGE_SIZE"]) * C["PAGE_SIZE"])
    return File(stub, tables.of_section(found[base + section.virtual_address]), found)


def contents(built: image_built.Built, file: File, plan: Plan) -> dict[int, bytes]:
    """The modules of an image, by number."""
    files = {module.name: built.elf.parent / module.file for module in built.modules}
    return {
        number: file.loaded[module.load_address] if module.embedded else files[module.name].read_bytes()
        for number, module in enumerate(plan.modules)
    }


def facts(transcript: str) -> list[Range] | None:
    """For qemu.run's inspect: the RSDP and EFI's memory map, from where the stub said that they are, once it
    launches. What they hold is compare_boot's `memory`.
    """
    if "bootwright: launch by " not in transcript:
        return None
    said = reference_transcript.parse_transcript(transcript)
    return [Range.sized(said.rsdp, C["RSDP_SIZEOF"]), *([said.efi_map] if said.efi_map and said.efi_map.size else [])]


def without_firmware(transcript: str) -> reference_transcript.Seen:
    """What the stub said without what the firmware's console, on the same serial line, said for it: the first line,
    and while boot services go on each line once more.
    """
    said = reference_transcript.parse_transcript(transcript)
    services = said.efi is not None and said.efi.given is not None
    if said.entry != "EFI" and not services:
        return said
    lines = said.lines[1:]
    if services:
        assert lines[0::2] == lines[1::2]
        lines = lines[1::2]
    return reference_transcript.parse_transcript("\n".join(lines))


def _platform(said: reference_transcript.Seen, **fields: Any) -> Platform:
    code = resident.code(resolve.cache_directory())
    return Platform(resident=code, x2apic=said.x2apic, tsc_mhz=said.tsc_mhz, **fields)


def compare_boot(
    transcript: str,
    built: image_built.Built,
    *,
    cmdline: str = "",
    memory: Sequence[bytes] = (),
    application: bool = False,
    **platform: Any,
) -> boot.Boot:
    """Compare every line of a boot at log = "debug"; the last has a checksum of what the kernel was told.

    cmdline: the stub's own; memory: what was inspected (facts), where the protocol hands it over; application: it was
    NAME.efi that was loaded, though not by EFI; platform: of a partition, what Platform has, by default the cpus that
    the image needs, by QEMU's numbers.
    """
    said = without_firmware(transcript)
    assert said.stub is not None
    started_by_efi = said.entry == "EFI"
    flat = started_by_efi or application
    file = read_application(built.elf.with_suffix(".efi")) if flat else read_elf(built.elf)
    plan = tables.decode(file.tables)
    anywhere = flat or plan.hypervisor is not None  # a loader may put Xen's image elsewhere
    rsdp, *efi_map = memory or (b"",)
    efi, ranges, screen = said.efi, said.ranges, said.screen
    if efi is not None and efi_map:
        efi = replace(efi, map=efi_map[0])
        ranges = efi.ranges if started_by_efi else ranges
    if screen is not None and screen.type == C["MULTIBOOT2_FRAMEBUFFER_RGB"]:
        screen = replace(screen, colours=COLOURS)
    brought = [
        LoaderModule(said.modules[number].place.start, said.modules[number].place.size, module.name)
        for number, module in enumerate(plan.modules)
        if not module.embedded
    ]
    machine = Machine(
        said.entry,
        ranges,
        Range.sized(said.stub.start if anywhere else file.stub.start, file.stub.size),
        build=built.build_id[:8],
        loader=said.loader,
        cmdline=cmdline,
        modules=tuple(brought),
        rsdp=said.rsdp,
        rsdp_bytes=rsdp.ljust(C["RSDP_SIZEOF"], b"\0"),
        framebuffer=screen,
        efi=efi,
        boot_device=said.boot_device,
        cpu=said.cpu,
        memory_type=said.memory_type,
        platform=_platform(said, **{"cpus": tuple(range(built.machine_cpus)), **platform}) if plan.partition else None,
        contents=contents(built, file, profiles.chosen(plan, cmdline, 0)[1] if plan.profiles else plan),
    )
    expected = boot.boot(machine, plan, len(file.tables))
    assert said.lines == expected.shown(plan.image.log)
    return expected
