"""The stub from the loader's hand-over to the launch, under Unicorn: what a good boot says and does, step by step.
Faults are in test_stub_loaders.py, test_stub_tables.py, test_stub_loading.py and test_stub_launch.py; E_NO_LONG_MODE
and E_EXCEPTION in test_stub_modes.py, and with a whole cpu in tests/boot/test_cpu.py."""

from __future__ import annotations

import struct
import zlib

import lz4.block
import pytest
import unicorn
from booting import KERNEL, PACKED, PVH, RAMDISK, TEXT, boot, good_tables, line, machine_with, stub_place
from machine import RAM, C, Machine, pvh_info
from unicorn import x86_const as x86


def test_a_boot_prints_its_stages_and_hands_over_what_was_planned() -> None:
    machine = boot(good_tables())
    packed = lz4.block.compress(TEXT, store_size=False)
    printed = machine.transcript.splitlines()
    cpu = printed.pop(1)
    start_info, end = machine.information
    crc = zlib.crc32(machine.read(start_info, end - start_info))
    assert cpu.startswith("bootwright: cpu: ") and cpu.endswith(", long mode")
    assert printed == [
        line("M_ENTRY", "test", *stub_place(machine), "PVH", "-"),
        line("M_TABLES", len(good_tables().encode()), 1, 2),
        line("M_RANGE", 0, 0x9FC00, 1),
        line("M_RANGE", 0x100000, RAM, 1),
        line("M_MEMORY", 2, (0x9FC00 + RAM - 0x100000) >> 20, 0xE0000),
        line("M_MODULE", 0, "kernel", "dom0.kernel", PACKED, PACKED + len(packed)),
        line("M_MODULE", 1, "ramdisk", "dom0.ramdisk", RAMDISK, RAMDISK + 5),
        line("M_BUILDER", 1),
        line("M_DOMAIN", 0, "dom0", "dom0.kernel", "dom0.ramdisk", 16),
        line("M_CMDLINE", 0, "quiet extra  words"),
        line("M_BUILT", 0, 1, 1),
        line("M_HWDOM", 0, "dom0"),
        line("M_LAUNCH", "PVH", KERNEL + 16, start_info, end, crc),
    ]
    assert machine.read(KERNEL, len(TEXT) + 100) == TEXT + b"\0" * 99 + b"\xff", "unpacked, cleared, and no further"
    info = machine.record("hvm_start_info", start_info)
    assert (info.magic, info.version, info.rsdp_paddr) == (PVH, 1, 0xE0000)
    assert info.flags == C["SIF_PRIVILEGED"] | C["SIF_INITDOMAIN"]
    assert machine.read_string(info.cmdline_paddr) == "quiet extra  words"
    ramdisk = machine.record("hvm_modlist_entry", info.modlist_paddr)
    assert (info.nr_modules, ramdisk.paddr, ramdisk.size) == (1, RAMDISK, 5)
    memmap = machine.read(info.memmap_paddr, 24 * info.memmap_entries)
    assert memmap == struct.pack("<QQII", 0, 0x9FC00, 1, 0) + struct.pack("<QQII", 0x100000, RAM - 0x100000, 1, 0)


def test_the_pieces_of_a_stored_module_are_copied() -> None:
    tables = good_tables()
    tables.modules[0] |= dict(flags=C["MODULE_EMBEDDED"])
    tables.pieces = [dict(source=3, source_size=17, dest=KERNEL, dest_size=17, method=C["PACK_STORED"])]
    machine = boot(tables)
    assert machine.read(KERNEL, 18) == machine.read(PACKED + 3, 17) + b"\xff"


def test_other_domains_are_named_and_not_built() -> None:
    tables = good_tables()
    tables.domains.insert(0, dict(tables.domains[0], name="other", functions=0))
    machine = boot(tables)
    assert line("M_SKIPPED", "other") in machine.transcript
    assert line("M_HWDOM", 0, "dom0") in machine.transcript and not machine.failed


def test_a_loaders_modules_are_matched_by_name_and_moved_out_of_the_way() -> None:
    tables = good_tables()
    packed = lz4.block.compress(TEXT, store_size=False)
    for module in tables.modules:
        module |= dict(flags=C["MODULE_VERIFY"], load_address=0)
    machine = machine_with(tables)
    pvh_info(
        machine,
        modules=[
            (RAMDISK, b"files", "/boot/dom0.ramdisk"),
            (0x700000, b"?", "/boot/left"),
            (KERNEL + 0x20, packed, "x/vmlinuz dom0.kernel"),
        ],
    )
    machine.boot(PVH)
    assert machine.read(KERNEL, len(TEXT)) == TEXT
    moved = RAM - 0x1000
    assert line("M_MODULE_LEFT", 1, "/boot/left") in machine.transcript
    assert (
        line("M_MODULE_MOVED", 0, KERNEL + 0x20, KERNEL + 0x20 + len(packed), moved, moved + len(packed))
        in machine.transcript
    )


@pytest.mark.parametrize("level, lines", [("LOG_QUIET", 0), ("LOG_NORMAL", 12), ("LOG_DEBUG", 14)])
def test_the_log_level_says_how_much_is_printed(level: str, lines: int) -> None:
    assert len(boot(good_tables(), log=C[level]).transcript.splitlines()) == lines


def test_a_boot_without_uart_goes_on() -> None:
    machine = Machine(good_tables().encode(), uart=False)
    machine.write(PACKED, lz4.block.compress(TEXT, store_size=False))
    machine.write(RAMDISK, b"files")
    pvh_info(machine)
    machine.boot(PVH)
    assert machine.read(KERNEL, len(TEXT)) == TEXT


# SDM 2, CPUID: EAX, EBX, ECX, EDX of each leaf; a vendor's name is in EBX, EDX, ECX
VENDOR = (1, *struct.unpack("<3I", b"CentaulsaurH"))
BRAND = struct.unpack("<12I", b"      VIA C7".ljust(48, b"\0"))


@pytest.mark.parametrize(
    ("leaves", "name"),
    [
        ({0x80000000: (0x80000001, 0, 0, 0), 0: VENDOR}, "CentaurHauls"),
        (
            {0x80000000: (0x80000004, 0, 0, 0)}
            | {0x80000002 + number: BRAND[4 * number : 4 * number + 4] for number in range(3)},
            "VIA C7",
        ),
    ],
)
def test_what_a_cpu_calls_itself(leaves: dict[int, tuple[int, ...]], name: str) -> None:
    machine = machine_with(good_tables())

    def cpuid(uc: unicorn.Uc, data: object) -> int:
        values = leaves.get(uc.reg_read(x86.UC_X86_REG_EAX), (0, 0, 0, 0))
        for register, value in zip(("RAX", "RBX", "RCX", "RDX"), values, strict=True):
            uc.reg_write(getattr(x86, f"UC_X86_REG_{register}"), value)
        return 1

    machine.uc.hook_add(unicorn.UC_HOOK_INSN, cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
    machine.boot(PVH)
    assert line("M_CPU", name) in machine.transcript and not machine.failed
