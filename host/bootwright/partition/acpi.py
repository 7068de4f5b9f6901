"""A domain's ACPI: five tables that say how many cpus it has, where it powers off and resets, and where its UART is.

ACPI 6.5: 5.2.5 (RSDP), 5.2.8 (XSDT), 5.2.9 (FADT, of a hardware-reduced machine), 5.2.12 (MADT), 4.8.3.7 (sleep
control), 20.2 (AML, of which the DSDT needs so little that it is put together here).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range, align_up

BASE = 0xE0000  # where a BIOS has them, behind what the map says is RAM
SLEEP_TYPE = 5  # what _S5 says, and the sleep control register is written with
_REVISIONS = {"XSDT": 1, "FADT": 6, "MADT": 4, "DSDT": 2}
_FADT_MINOR = 5
_OEM_ID, _OEM_TABLE_ID, _CREATOR = b"BOOTWR", b"PARTITIO", int.from_bytes(b"BWRT", "little")

# AML: 20.2.3 and 20.2.5.
_ZERO, _NAME, _BYTE, _DWORD, _SCOPE, _BUFFER, _PACKAGE, _DEVICE = (
    *(b"\x00", b"\x08", b"\x0a", b"\x0c", b"\x10", b"\x11", b"\x12", b"\x5b\x82"),
)
_EISA_PNP0501 = bytes.fromhex("41d00501")  # a 16550
_IO_DESCRIPTOR, _IO_DECODE_16, _END_TAG = 0x47, 1, b"\x79\x00"


@dataclass(frozen=True)
class Patch:
    """struct patch: kind PATCH_*, by name."""

    kind: str
    number: int
    at: int
    size: int = 0

    def record(self) -> bytes:
        """As the resident part reads it."""
        abi = load_abi()
        values = {"kind": abi.constants[f"PATCH_{self.kind}"], "number": self.number, "at": self.at, "size": self.size}
        return bytes(abi.struct("patch")(**values).dumps())


@dataclass(frozen=True)
class Acpi:
    """The tables as bytes for guest address `base`, where the RSDP is; all APIC ids are 0 until patches are made."""

    base: int
    data: bytes
    patches: tuple[Patch, ...]

    @property
    def range(self) -> Range:
        """The guest addresses that they take."""
        return Range.sized(self.base, len(self.data))


def acpi(cpus: int, uart: int | None) -> Acpi:
    """The tables of a domain with so many cpus, and a UART at that port."""
    constants = load_abi().constants
    align = constants["RSDP_ALIGN"]
    data = bytearray(align_up(constants["RSDP_SIZEOF"], align))

    def place(table: bytes) -> int:
        at = BASE + len(data)
        data.extend(table.ljust(align_up(len(table), align), b"\0"))
        return at

    dsdt = place(_table("DSDT", _sleep() + (_uart(uart) if uart is not None else b"")))
    fadt = place(_fadt(dsdt))
    held = _madt(cpus)
    madt = place(held)
    xsdt = place(_table("XSDT", struct.pack("<2Q", fadt, madt)))
    rsdp = _rsdp(xsdt)
    data[: len(rsdp)] = rsdp
    entry, id_at = constants["MADT_LOCAL_APIC_SIZEOF"], constants["MADT_LOCAL_APIC_APIC_ID"]
    first = madt + constants["MADT_SIZEOF"] + id_at
    patches = [Patch("APIC_ID", number, first + number * entry) for number in range(cpus)]
    patches.append(Patch("CHECKSUM", constants["ACPI_HEADER_CHECKSUM"], madt, len(held)))
    return Acpi(BASE, bytes(data), tuple(patches))


def _rsdp(xsdt: int) -> bytes:
    abi = load_abi()
    constants = abi.constants
    record = abi.struct("rsdp")(
        signature=constants["RSDP_SIGNATURE"],
        oem_id=_OEM_ID,
        revision=constants["RSDP_REVISION_XSDT"],
        length=constants["RSDP_SIZEOF"],
        xsdt=xsdt,
    )
    first = constants["RSDP_V1_LENGTH"]
    record.checksum = -sum(record.dumps()[:first]) & 0xFF
    record.extended_checksum = -sum(record.dumps()) & 0xFF
    return bytes(record.dumps())


def _header(name: str, length: int) -> Any:
    abi = load_abi()
    return abi.struct("acpi_header")(
        signature=abi.constants[f"{name}_SIGNATURE"],
        length=length,
        revision=_REVISIONS[name],
        oem_id=_OEM_ID,
        oem_table_id=_OEM_TABLE_ID,
        oem_revision=1,
        creator_id=_CREATOR,
        creator_revision=1,
    )


def _summed(table: bytes) -> bytes:
    at = load_abi().constants["ACPI_HEADER_CHECKSUM"]
    return table[:at] + bytes([-(sum(table) - table[at]) & 0xFF]) + table[at + 1 :]


def _table(name: str, content: bytes) -> bytes:
    length = load_abi().constants["ACPI_HEADER_SIZEOF"] + len(content)
    return _summed(_header(name, length).dumps() + content)


def _port(port: int) -> Any:
    """A generic address: one byte at a port."""
    abi = load_abi()
    return abi.struct("acpi_address")(
        address_space=abi.constants["ACPI_SPACE_IO"],
        bit_width=8,
        access_size=abi.constants["ACPI_ACCESS_BYTE"],
        address=port,
    )


def _fadt(dsdt: int) -> bytes:
    abi = load_abi()
    constants = abi.constants
    flags = ("WBINVD", "POWER_BUTTON", "SLEEP_BUTTON", "RESET_REG", "HW_REDUCED")
    table = abi.struct("fadt")(
        header=_header("FADT", constants["FADT_SIZEOF"]),
        dsdt=dsdt,
        iapc_boot_arch=constants["FADT_BOOT_NO_VGA"] | constants["FADT_BOOT_NO_CMOS"],
        flags=sum(constants[f"FADT_FLAG_{name}"] for name in flags),
        reset_reg=_port(constants["PORT_DOMAIN_RESET"]),
        reset_value=constants["DOMAIN_RESET_VALUE"],
        minor_version=_FADT_MINOR,
        x_dsdt=dsdt,
        sleep_control_reg=_port(constants["PORT_SLEEP_CONTROL"]),
        sleep_status_reg=_port(constants["PORT_SLEEP_STATUS"]),
    )
    return _summed(bytes(table.dumps()))


def _madt(cpus: int) -> bytes:
    abi = load_abi()
    constants = abi.constants
    size = constants["MADT_LOCAL_APIC_SIZEOF"]
    entries = [
        abi.struct("madt_local_apic")(
            type=constants["MADT_LOCAL_APIC"],
            length=size,
            processor_uid=number,
            flags=constants["MADT_ENABLED"],
        )
        for number in range(cpus)
    ]
    head = abi.struct("madt")(
        header=_header("MADT", constants["MADT_SIZEOF"] + cpus * size), lapic_address=constants["LAPIC_ADDRESS"]
    )
    return _summed(bytes(head.dumps() + b"".join(entry.dumps() for entry in entries)))


# --- AML ---


def _packed(content: bytes) -> bytes:
    """With its length in front, that of the length included (20.2.4)."""
    if len(content) + 1 < 1 << 6:
        return bytes([len(content) + 1]) + content
    length = len(content) + 2
    return bytes([1 << 6 | length & 0xF, length >> 4]) + content


def _sleep() -> bytes:
    """Name (_S5, Package (4) {SLEEP_TYPE, 0, 0, 0})"""
    elements = _BYTE + bytes([SLEEP_TYPE]) + _ZERO * 3
    return _NAME + b"_S5_" + _PACKAGE + _packed(bytes([4]) + elements)


def _uart(port: int) -> bytes:
    """Scope (\\_SB) {Device (COM0) {_HID "PNP0501", _UID 0, _CRS IO (Decode16, port, port, 1, 8)}}"""
    resources = (
        struct.pack("<BBHHBB", _IO_DESCRIPTOR, _IO_DECODE_16, port, port, 1, load_abi().constants["UART_PORTS"])
        + _END_TAG
    )
    device = _DEVICE + _packed(
        b"COM0"
        + (_NAME + b"_HID" + _DWORD + _EISA_PNP0501)
        + (_NAME + b"_UID" + _ZERO)
        + (_NAME + b"_CRS" + _BUFFER + _packed(_BYTE + bytes([len(resources)]) + resources))
    )
    return _SCOPE + _packed(b"\\_SB_" + device)
