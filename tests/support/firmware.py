"""A firmware of a few lines for the stub's EFI entry under Unicorn, and boots by it."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable

import lz4.block
import unicorn
from booting import KERNEL, PACKED, RAMDISK, TEXT, good_tables
from machine import C, Machine
from unicorn import x86_const as x86

FIRMWARE = 0x3800000  # tables and services
SYSTEM, SERVICES, OUTPUT, IMAGE = FIRMWARE, FIRMWARE + 0x200, FIRMWARE + 0x600, FIRMWARE + 0x700
GRAPHICS, CONFIGURATION, STRINGS, CODE = (
    FIRMWARE + 0x800,
    FIRMWARE + 0xA00,
    FIRMWARE + 0xB00,
    FIRMWARE + 0x1000,
)
RSDP = 0xE0000
SCREEN = 0x80000000  # what is drawn on: the stub maps it, once the page tables are its own
INVALID_PARAMETER = C["EFI_INVALID_PARAMETER"]
LOADED_IMAGE = uuid.UUID("5b1b31a1-9562-11d2-8e3f-00a0c969723b").bytes_le
GRAPHICS_OUTPUT = uuid.UUID("9042a9de-23dc-4a38-96fb-7aded080516a").bytes_le
ACPI1 = uuid.UUID("eb9d2d30-2d88-11d3-9a16-0090273fc14d").bytes_le
ACPI2 = uuid.UUID("8868e871-e4f1-11d3-bc22-0080c73c8881").bytes_le

# type, start, pages
MAP = [
    (7, 0, 0xA0),
    (7, 0x100000, 0x680),
    (10, 0x780000, 0x10),
    (3, 0x790000, 0x270),
    (4, 0xA00000, 0x2E00),
    (6, 0x3800000, 0x100),
    (7, 0x3900000, 0x600),
    (0, 0x3F00000, 0x100),
    (11, 0xFFC00000, 0x400),
]


def descriptors(parts: Iterable[tuple[int, int, int]]) -> bytes:
    """A memory map; 48 bytes each, though 40 are defined: as real firmware does."""
    return b"".join(struct.pack("<IIQQQQQ", kind, 0, start, 0, pages, 0, 0) for kind, start, pages in parts)


class Firmware:
    """Boot services as far as the stub uses them. stale: ExitBootServices refuses so many keys; graphics: the pixel
    format, None without a screen; memory_map: what GetMemoryMap answers.
    """

    def __init__(
        self,
        machine: Machine,
        stale: int = 0,
        graphics: int | None = 1,
        options: str = "a -- b",
        memory_map: bytes = descriptors(MAP),
    ) -> None:
        self.machine, self.stale, self.key = machine, stale, 0
        self.console, self.calls = "", [""]
        self.services: dict[str, Callable[[int, int, int, int], int]] = {
            "get_memory_map": self.get_memory_map,
            "exit_boot_services": self.exit_boot_services,
            "handle_protocol": self.handle_protocol,
            "locate_protocol": self.locate_protocol,
            "set_watchdog_timer": lambda *arguments: 0,
            "allocate_pages": self.allocate_pages,
        }
        self.memory_map = memory_map
        self.given: list[int] = []
        self.claimed: list[tuple[int, int]] = []
        self.refuse = 0  # status of AllocatePages for an address
        self.graphics = graphics
        write = machine.write
        for index, name in enumerate(self.services):
            write(SERVICES + C[f"EFI_BOOT_SERVICES_{name.upper()}"], struct.pack("<Q", CODE + 16 * index))
        write(CODE, b"\xc3" * 0x1000)
        write(OUTPUT + 8, struct.pack("<Q", CODE + 0x800))
        wide = "EDK Ⅱ\0".encode("utf-16-le")
        write(STRINGS, wide)
        write(STRINGS + 0x100, (options + "\0").encode("utf-16-le"))
        write(
            IMAGE + C["EFI_LOADED_IMAGE_LOAD_OPTIONS_SIZE"],
            struct.pack("<IIQ", 2 * len(options) + 2, 0, STRINGS + 0x100),
        )
        write(CONFIGURATION, bytes(24) + ACPI1 + struct.pack("<Q", 0x1111) + ACPI2 + struct.pack("<Q", RSDP))
        write(GRAPHICS + 24, struct.pack("<Q", GRAPHICS + 0x40))
        write(GRAPHICS + 0x48, struct.pack("<QQQQ", GRAPHICS + 0x80, 36, SCREEN, 0))
        write(GRAPHICS + 0x80, struct.pack("<IIII16xI", 0, 1024, 768, graphics or 0, 1088))
        write(SYSTEM, b"IBI SYST")
        system = dict(
            firmware_vendor=STRINGS,
            con_out=OUTPUT,
            boot_services=SERVICES,
            number_of_table_entries=3,
            configuration_table=CONFIGURATION,
        )
        for name, value in system.items():
            write(SYSTEM + C[f"EFI_SYSTEM_TABLE_{name.upper()}"], struct.pack("<Q", value))
        machine.uc.hook_add(unicorn.UC_HOOK_CODE, self.on_call, None, CODE, CODE + 0x900)

    def on_call(self, uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        registers = (x86.UC_X86_REG_RCX, x86.UC_X86_REG_RDX, x86.UC_X86_REG_R8, x86.UC_X86_REG_R9)
        arguments = [uc.reg_read(register) for register in registers]
        assert uc.reg_read(x86.UC_X86_REG_RSP) % 16 == 8, "the stack is aligned at a call"
        if address == CODE + 0x800:
            text = self.machine.read(arguments[1], 64).decode("utf-16-le", "replace").split("\0")[0]
            self.console += text
            result = 0
        else:
            name = list(self.services)[(address - CODE) // 16]
            self.calls.append(name)
            result = self.services[name](*arguments)
        for register in (*registers, x86.UC_X86_REG_R10, x86.UC_X86_REG_R11):
            uc.reg_write(register, 0xDEAD)  # what the calling convention lets a service do
        uc.reg_write(x86.UC_X86_REG_RAX, result)

    def get_memory_map(self, size: int, buffer: int, key: int, descriptor_size: int) -> int:
        stack = self.machine.uc.reg_read(x86.UC_X86_REG_RSP)
        (version,) = struct.unpack("<Q", self.machine.read(stack + 8 + C["EFI_SHADOW"], 8))
        self.machine.write(version, struct.pack("<I", 1))
        self.key += 1
        self.machine.write(size, struct.pack("<Q", len(self.memory_map)))
        self.machine.write(buffer, self.memory_map)
        self.machine.write(key, struct.pack("<Q", self.key))
        self.machine.write(descriptor_size, struct.pack("<Q", 48))
        return 0

    def allocate_pages(self, how: int, kind: int, pages: int, address: int) -> int:
        if how == C["EFI_ALLOCATE_ADDRESS"]:
            self.claimed.append((int.from_bytes(self.machine.read(address, 8), "little"), pages))
            return self.refuse
        assert (how, kind) == (C["EFI_ALLOCATE_MAX_ADDRESS"], C["EFI_LOADER_CODE"])
        self.given.append(0x3000000 + len(self.given) * 0x100000)
        self.machine.write(address, struct.pack("<Q", self.given[-1]))
        return 0

    def exit_boot_services(self, handle: int, key: int, *rest: int) -> int:
        assert (handle, key) == (0x77, self.key)
        self.stale -= 1
        return INVALID_PARAMETER if self.stale >= 0 else 0

    def handle_protocol(self, handle: int, guid: int, interface: int, rest: int) -> int:
        assert self.machine.read(guid, 16) == LOADED_IMAGE
        self.machine.write(interface, struct.pack("<Q", IMAGE))
        return 0

    def locate_protocol(self, guid: int, registration: int, interface: int, rest: int) -> int:
        assert self.machine.read(guid, 16) == GRAPHICS_OUTPUT
        self.machine.write(interface, struct.pack("<Q", GRAPHICS))
        return 0 if self.graphics is not None else 1 << 63 | 14


def boot(
    console: int = C["CONSOLE_SERIAL"], levels: int = 4, **settings: int | str | bytes | None
) -> tuple[Machine, Firmware]:
    machine = Machine(good_tables().encode(console=console))
    machine.uc.mem_map(SCREEN, 4 << 20)
    machine.write(PACKED, lz4.block.compress(TEXT, store_size=False))
    machine.write(RAMDISK, b"files")
    firmware = Firmware(machine, **settings)  # type: ignore[arg-type]
    machine.write(machine.symbols["handover_code.enter"], b"\xf4")
    machine.uc.reg_write(x86.UC_X86_REG_CR4, (levels == 5) << C["CR4_LA57_BIT"])
    machine.call("efi_start", rcx=0x77, rdx=SYSTEM)
    return machine, firmware


XEN = b"\xf4" * 0x1800  # every byte of it stops


def hypervisor(refuse: int = 0, **overrides: int) -> tuple[Machine, Firmware]:
    """A hypervisor at KERNEL, with the good tables' ramdisk as its module."""
    tables = good_tables()
    tables.modules[0] |= dict(
        name="xen", kind=C["BOOTMOD_XEN"], flags=C["MODULE_EMBEDDED"], size=len(XEN), nr_pieces=2, string=""
    )
    tables.modules[1] |= dict(string="root=/dev/ram")
    tables.pieces = [
        dict(source=0, source_size=0x1000, dest=KERNEL, dest_size=0x1000, method=C["PACK_STORED"]),
        dict(
            source=0x1000,
            source_size=0x800,
            dest=KERNEL + 0x1000,
            dest_size=0x800,
            zero_size=0x10,
            method=C["PACK_STORED"],
        ),
    ]
    machine = Machine(
        tables.encode(
            hypervisor=0,
            hypervisor_protocol=C["PROTOCOL_MULTIBOOT2_EFI"],
            hypervisor_entry=KERNEL,
            **{"hypervisor_efi_entry": KERNEL + 8} | overrides,
        )
    )
    machine.write(PACKED, XEN)
    machine.write(RAMDISK, b"files")
    firmware = Firmware(machine)
    firmware.refuse = refuse
    return machine, firmware


def xen(refuse: int = 0, **overrides: int) -> tuple[Machine, Firmware]:
    """It, started by the firmware."""
    machine, firmware = hypervisor(refuse, **overrides)
    machine.call("efi_start", rcx=0x77, rdx=SYSTEM)
    return machine, firmware


GRUB = [  # what it tells of EFI
    (C["MULTIBOOT2_TAG_EFI_SERVICES"], b""),
    (C["MULTIBOOT2_TAG_EFI64"], struct.pack("<Q", SYSTEM)),
    (C["MULTIBOOT2_TAG_EFI64_HANDLE"], struct.pack("<Q", 0x77)),
]
