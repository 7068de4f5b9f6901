"""Boots of real machines against the reference: what the stub printed there, and the checksum of what it told
the kernel, must be what boot.boot computes for that machine."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

from elftools.elf.elffile import ELFFile

from bootwright import abi, boot, image, report, seen, tables
from bootwright.machine import Framebuffer, LoaderModule, Machine
from bootwright.planned import Plan
from bootwright.ranges import Range

ROOT = Path(__file__).parent.parent
C = abi.load().constants
# What GRUB says of the text screen of a PC.
TEXT_SCREEN = Framebuffer(0xB8000, 160, 80, 25, 16, C["MULTIBOOT2_FRAMEBUFFER_EGA_TEXT"])


def variant(folder: Path, name: str, *changes: tuple[str, str], log: str = "debug") -> report.Built:
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
    return image.build(path, lambda stage: None)


def stub_range(elf: ELFFile) -> Range:
    """Where an image's stub lies, with its tables and all that it uses."""
    symbols = elf.get_section_by_name(".symtab")
    start, end = (symbols.get_symbol_by_name(f"__image_{name}")[0]["st_value"] for name in ("start", "end"))
    return Range(start, end)


def contents(built: report.Built, elf: ELFFile, plan: Plan) -> dict[int, bytes]:
    """The modules of an image, by number."""
    files = {module.name: built.elf.parent / module.file for module in built.modules}
    found = {}
    for number, module in enumerate(plan.modules):
        if module.embedded:
            segment = next(s for s in elf.iter_segments("PT_LOAD") if s["p_paddr"] == module.load_address)
            found[number] = segment.data()
        else:
            found[number] = files[module.name].read_bytes()
    return found


def _where_it_lay(plan: Plan, stub: Range, said: seen.Seen) -> tuple[Plan, Range]:
    """The plan and the stub's range for an image that a loader has put elsewhere, as one piece."""
    embedded = [number for number, module in enumerate(plan.modules) if module.embedded]
    if plan.hypervisor is None or not embedded:
        return plan, stub
    moved = said.modules[embedded[0]].place.start - plan.modules[embedded[0]].load_address
    modules = tuple(
        replace(module, load_address=module.load_address + moved) if module.embedded else module
        for module in plan.modules
    )
    return replace(plan, modules=modules), Range.sized(stub.start + moved, stub.size)


def bios_area(transcript: str) -> list[Range]:
    """Where a BIOS has its RSDP (ACPI 6.5, 5.2.5.1): for qemu.run's inspect. A loader's copy does not last."""
    return [Range(0xE0000, 0x100000)]


def rsdp_in(area: bytes) -> bytes:
    """The RSDP in a BIOS's area."""
    start = area.index(b"RSD PTR ")
    return area[start : start + C["RSDP_SIZEOF"]]


def compare_boot(
    transcript: str,
    built: report.Built,
    *,
    cmdline: str = "",
    framebuffer: Framebuffer | None = None,
    rsdp: bytes = b"",
) -> boot.Boot:
    """Compare every line of a boot at log = "debug"; the last has a checksum of what the kernel was told.

    cmdline: the stub's own; rsdp: its bytes, where the protocol hands them over.
    """
    elf = ELFFile(io.BytesIO(built.elf.read_bytes()))
    blob = elf.get_section_by_name(".tables").data()
    plan = tables.decode(blob)
    said = seen.parse_transcript(transcript)
    found = contents(built, elf, plan)
    plan, stub = _where_it_lay(plan, stub_range(elf), said)
    brought = [
        LoaderModule(said.modules[number].place.start, said.modules[number].place.size, module.name)
        for number, module in enumerate(plan.modules)
        if not module.embedded
    ]
    machine = Machine(
        said.entry,
        said.ranges,
        stub,
        loader=said.loader,
        cmdline=cmdline,
        modules=tuple(brought),
        rsdp=said.rsdp,
        rsdp_bytes=rsdp.ljust(C["RSDP_SIZEOF"], b"\0"),
        framebuffer=framebuffer,
        cpu=said.cpu,
        contents=found,
    )
    expected = boot.boot(machine, plan, len(blob))
    assert said.lines == expected.shown(plan.image.log)
    return expected
