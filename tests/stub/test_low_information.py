"""Where a kernel finds what it is told: as low as loaders put it, on memory maps of all kinds. Kernels that first map
little read it by their first page tables, and firmware's and Linux' own places below 1 MiB are left alone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from machine import ABI, RAM, C
from worlds import MIB, RSDP, World, booted, linux, plan

from bootwright.common.ranges import Range
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.plan.records import Plan
from bootwright.reference.machine import Efi, all_ram, find_low_room, normalise, overlap

PAGE = 0x1000
# The whole area: page tables, code, and at most three pages of information in these tests.
HEAD = C["HANDOVER_INFORMATION"]
LOW = [(0, 0x9FC00, 1), (0xF0000, 0x10000, 2)]
HIGH = (MIB, RAM - MIB, 1)
PROTOCOLS = ("pvh", "multiboot1", "multiboot2", "linux", "real mode")


def world(protocol: str = "pvh", *ranges: tuple[int, int, int]) -> World:
    """An image with a kernel for a protocol; ranges: the memory map."""
    if protocol == "linux":
        found = linux()
    elif protocol == "real mode":
        found = linux(code32_start=0)
    else:
        found = plan(protocol, b"\x90" * 64)
    found.ranges = list(ranges) or [*LOW, HIGH]
    return found


def taking_the_stubs_place(found: World) -> World:
    """Its kernel has cleared all of the second MiB, and all up to 16 MiB."""
    assert isinstance(found.plan, Plan)
    (module,), (domain,) = found.plan.modules, found.plan.domains
    piece = replace(module.pieces[0], dest=MIB, zero_size=MIB)
    found.plan = replace(found.plan, modules=(replace(module, pieces=(piece,)),), domains=(replace(domain, entry=MIB),))
    return found


def placed(found: World) -> Range:
    """The area, after a boot that went as the reference says: lines, and all that is told."""
    _, expected = booted(found)
    assert expected.failure is None and expected.handover is not None
    assert Range.sized(expected.information_start, len(expected.information)).end <= expected.handover.end
    launch = expected.lines[-1]
    assert f"information at [{expected.handover.start + HEAD:#x}, " in launch, "the transcript says where"
    return expected.handover


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_below_one_mib_where_there_is_room(protocol: str) -> None:
    """By every protocol; above the first 64 KiB, which Linux never takes and much else does."""
    area = placed(world(protocol))
    assert area.start == 0x10000
    assert area.size < HEAD + 4 * PAGE, "no longer than it has to be"


@pytest.mark.parametrize("protocol", PROTOCOLS[:-1])
def test_nothing_below_one_mib(protocol: str) -> None:
    """Then behind the stub, in its MiB."""
    found = world(protocol, (0, 0x9FC00, 2), HIGH)
    stub, expected = booted(found)
    assert expected.handover is not None
    end = stub.symbols["__image_end"]
    assert expected.handover.start == end + -end % PAGE < 2 * MIB


LOW_MAPS = {
    # A reserved page in the middle, as many machines have it.
    "hole": ([(0, 0x58000, 1), (0x58000, PAGE, 2), (0x59000, 0x46000, 1)], 0x10000),
    "hole early": ([(0, 0x12000, 1), (0x12000, PAGE, 2), (0x13000, 0x8C000, 1)], 0x13000),
    "no whole page": ([(0x20001, 0x60000, 1)], 0x21000),
    # 36 KiB and 64 KiB behind them: room for Linux' own code for starting processors.
    "low EBDA, and room behind": ([(0, 0x10000 + HEAD + PAGE + 0x10000, 1)], 0x10000),
    "low EBDA": ([(0, 0x10000 + HEAD + PAGE + 0xF000, 1), (0x27000, 0x79000, 2)], None),
    "too high": ([(0, 0x10000, 1), (0x70000, 0x2FC00, 1)], None),
    "ACPI tables": ([(0, 0x9FC00, 1), (0x10000, 0x58000, 3)], 0x68000),
    "more ACPI tables": ([(0, 0x9FC00, 1), (0x10000, 0x58001, 3)], None),
    "ACPI data": ([(0, 0x9FC00, 1), (0x10000, 0x20000, 4)], 0x30000),
    "persistent": ([(0, 0x9FC00, 7)], None),
}


@pytest.mark.parametrize("name", LOW_MAPS)
def test_odd_maps_below_one_mib(name: str) -> None:
    ranges, start = LOW_MAPS[name]
    area = placed(world("pvh", *ranges, HIGH))
    if start is None:
        assert MIB <= area.start < 2 * MIB, "behind the stub"
    else:
        assert area.start == start and area.end + 0x10000 <= 0x80000


def test_what_lies_below_one_mib_stays() -> None:
    """A module of the loader that the kernel is told of, and none that it is not told of."""
    found = world("multiboot1")
    assert isinstance(found.plan, Plan)
    record = replace(
        found.plan.modules[0], name="disk", kind=C["BOOTMOD_RAMDISK"], flags=0, size=0x5001, pieces=(), load_address=0
    )
    (domain,) = found.plan.domains
    domain = replace(domain, domain=replace(domain.domain, ramdisk=1))
    found.plan = replace(found.plan, modules=(*found.plan.modules, record), domains=(domain,))
    found.files = [(0x10000, bytes(0x5001), "disk"), (0x20000, b"nobody's", "left over")]
    assert placed(found).start == 0x16000


def filled(top: int, used: bool) -> World:
    """Nothing below 1 MiB; the kernel takes the second one, and a module of the loader all from there to `top`. used:
    it is the ramdisk; else it is one that was copied to another place.
    """
    found = taking_the_stubs_place(world("multiboot2", HIGH))
    assert isinstance(found.plan, Plan)
    size = top - 3 * MIB
    copied = replace(
        found.plan.modules[0].pieces[0], source=0, source_size=size, dest=24 * MIB, dest_size=size, zero_size=0
    )
    disk = replace(
        found.plan.modules[0], name="disk", kind=C["BOOTMOD_RAMDISK"], flags=0, size=size, unpacked_size=size
    )
    record = replace(disk, load_address=0, pieces=() if used else (copied,), start=0 if used else 24 * MIB)
    (domain,) = found.plan.domains
    domain = replace(domain, domain=replace(domain.domain, ramdisk=1))
    found.plan = replace(found.plan, modules=(*found.plan.modules, record), domains=(domain,))
    found.files = [(3 * MIB, bytes(size), "disk")]
    found.embedded = [(2 * MIB + 0x1000, found.embedded[0][1])]
    first = replace(found.plan.modules[0], load_address=2 * MIB + 0x1000)
    found.plan = replace(found.plan, modules=(first, record))
    return found


def test_modules_that_fill_all_that_is_low() -> None:
    """No step is left out: the next free page above them."""
    found = filled(18 * MIB, used=True)
    found.ranges = [(MIB, MIB + 0x3000, 1), (2 * MIB + 0x4000, MIB - 0x4000, 2), (3 * MIB, RAM - 3 * MIB, 1)]
    area = placed(found)
    assert area.start == 18 * MIB


def test_a_module_that_was_copied_leaves_its_place() -> None:
    found = filled(18 * MIB, used=False)
    found.ranges = [(MIB, MIB + 0x3000, 1), (2 * MIB + 0x4000, MIB - 0x4000, 2), (3 * MIB, RAM - 3 * MIB, 1)]
    assert placed(found).start == 3 * MIB


def test_efis_map_leaves_out_the_area_and_no_more() -> None:
    """Linux takes any memory that EFI calls free; the area is not."""

    def descriptor(start: int, size: int) -> bytes:
        record = dict(type=C["EFI_CONVENTIONAL_MEMORY"], physical_start=start, number_of_pages=size // PAGE)
        return bytes(ABI.struct("efi_memory_descriptor")(**record).dumps()).ljust(48, b"\0")

    found = world("linux")
    found.loader = "GRUB 2.06"
    found.efi = Efi(0x3F000018, descriptor(0, 0x90000) + descriptor(MIB, 32 * MIB), 0, 48, 1)
    _, expected = booted(found)
    assert expected.handover is not None
    params = ABI.struct("boot_params")(expected.information)
    info = ABI.struct("efi_info")(bytes(params.efi_info))
    told = expected.information[info.memmap - expected.information_start :][: info.memmap_size]
    free = [ABI.struct("efi_memory_descriptor")(told[at : at + 48]) for at in range(0, len(told), 48)]
    spans = sorted((one.physical_start, one.physical_start + one.number_of_pages * PAGE) for one in free)
    area = expected.handover
    assert spans == [(0, area.start), (area.end, 0x90000), (MIB, 33 * MIB)]
    assert info.memmap in range(area.start, area.end)


def test_the_reference_takes_the_lowest_place_there_is() -> None:
    """Against a plain search, page by page."""
    for seed in range(200):
        dice = random.Random(seed)
        starts = [24 * number + dice.randrange(4) for number in range(20)]
        kinds = [dice.choice((1, 1, 2)) for _ in starts]
        parts = [
            MemoryRange(start * PAGE + dice.randrange(3), (start + 24) * PAGE, kind)
            for start, kind in zip(starts, kinds, strict=True)
        ]
        ranges = list(normalise(parts))
        taken = [
            Range.sized(dice.randrange(0x200) * PAGE // 2, dice.randrange(0x9000)) for _ in range(dice.randrange(6))
        ]
        size = dice.randrange(1, 12) * PAGE

        def free(start: int, length: int, ranges: list[MemoryRange] = ranges, taken: list[Range] = taken) -> bool:
            wanted = Range.sized(start, length)
            return all_ram(ranges, wanted) and not any(overlap(wanted, other) for other in taken)

        low = [at for at in range(0x10000, 0x80000 - size - 0x10000 + 1, PAGE) if free(at, size + 0x10000)]
        high = [at for at in range(MIB, MIB + 0x100000, PAGE) if free(at, size)]
        assert find_low_room(ranges, size, taken) == next(iter(low + high), None), seed


def test_rsdp_is_told_as_before() -> None:
    """What is told does not change by where it lies."""
    one, other = (booted(world("multiboot2", *ranges))[1] for ranges in ([*LOW, HIGH], [HIGH]))
    assert RSDP[:20] in one.information and RSDP[:20] in other.information
    assert one.handover != other.handover
