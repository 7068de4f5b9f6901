"""The stub under Unicorn refuses tables that were damaged, or that say what they cannot."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from booting import PVH, boot, check, good_tables, line, machine_with, stub_place
from machine import ABI, C, Machine, Tables, pvh_info

NO_KIND = C["BOOTMOD_LAST"] + 1


@pytest.mark.provokes("E_TABLES_MAGIC")
def test_tables_with_another_magic() -> None:
    machine = boot(good_tables(), magic=0x1122)
    check(machine, "E_TABLES_MAGIC", machine.symbols["__start_tables"], 0x1122)


@pytest.mark.provokes("E_TABLES_VERSION")
def test_tables_of_another_version() -> None:
    check(boot(good_tables(), version=9), "E_TABLES_VERSION", 9, C["TABLES_VERSION_VALUE"])


@pytest.mark.provokes("E_TABLES_LENGTH")
@pytest.mark.parametrize("length", [10, 0x10001])
def test_tables_cut_short(length: int) -> None:
    check(boot(good_tables(), length=length), "E_TABLES_LENGTH", length, 0x10000)


@pytest.mark.provokes("E_TABLES_CHECKSUM")
def test_tables_with_a_wrong_checksum() -> None:
    good = ABI.struct("tables")(good_tables().encode()).checksum
    check(boot(good_tables(), checksum=good ^ 1), "E_TABLES_CHECKSUM", good, good ^ 1)


@pytest.mark.provokes("E_TABLES_COUNT")
def test_tables_with_too_many_domains() -> None:
    check(boot(good_tables(), nr_domains=65), "E_TABLES_COUNT", 65, 2, 64, 63)


@pytest.mark.provokes("E_TABLES_OFFSET")
@pytest.mark.parametrize("field", ["domains", "modules", "pieces", "name", "hypervisor_cmdline"])
def test_tables_that_refer_outside(field: str) -> None:
    length = len(good_tables().encode())
    machine = boot(good_tables(), **{field: length})
    sizes = {
        "domains": C["BOOT_DOMAIN_SIZEOF"],
        "modules": 2 * C["MODULE_RECORD_SIZEOF"],
        "pieces": C["PIECE_SIZEOF"],
        "name": 0,
        "hypervisor_cmdline": 0,
    }
    check(machine, "E_TABLES_OFFSET", length + sizes[field], length)


@pytest.mark.provokes("E_TABLES_OFFSET")
@pytest.mark.parametrize(("count", "size"), [(1, 1 << 20), (0x10000, 0x10000), (1, 40)])
def test_section_headers_outside(count: int, size: int) -> None:
    tables = good_tables()
    length = len(tables.encode())
    start = length - 8 & -8
    tables.modules[0] |= dict(sections=start, nr_sections=count, section_size=size)
    check(boot(tables), "E_TABLES_OFFSET", start + count * size, length)


@pytest.mark.provokes("E_TABLES_INDEX")
@pytest.mark.parametrize(
    "change, values",
    [
        (lambda t: t.domains[0].update(kernel=2), ("module", 2, 2)),
        (lambda t: t.domains[0].update(ramdisk=9), ("module", 9, 2)),
        (lambda t: t.domains[0].update(configs=[2, C["NO_MODULE"]]), ("module", 2, 2)),
        (lambda t: t.domains[0].update(configs=[1, 3]), ("module", 3, 2)),
        (lambda t: t.modules[0].update(first_piece=1), ("piece", 2, 1)),
        (lambda t: t.modules[1].update(kind=NO_KIND), ("module kind", NO_KIND, NO_KIND)),
    ],
)
def test_tables_with_a_reference_to_nothing(change: Callable[[Tables], None], values: tuple[str, int, int]) -> None:
    tables = good_tables()
    change(tables)
    check(boot(tables), "E_TABLES_INDEX", *values)


@pytest.mark.provokes("E_TABLES_INDEX")
def test_tables_with_a_hypervisor_that_is_no_module() -> None:
    check(boot(good_tables(), hypervisor=2), "E_TABLES_INDEX", "module", 2, 2)


def test_tables_without_anything() -> None:
    machine = machine_with(Tables())
    machine.boot(PVH)
    check(machine, "E_NO_INITIAL_DOMAIN", 0)


def test_tables_whose_last_string_does_not_end() -> None:
    blob = bytearray(good_tables().encode())
    blob[-1] = ord("x")
    blob[C["TABLES_CHECKSUM"] : C["TABLES_CHECKSUM"] + 4] = bytes(4)
    struct.pack_into("<I", blob, C["TABLES_CHECKSUM"], zlib.crc32(blob))
    machine = Machine(bytes(blob))
    pvh_info(machine)
    machine.boot(PVH)
    check(machine, "E_TABLES_OFFSET", len(blob), len(blob))


def test_tables_with_too_many_modules() -> None:
    machine = machine_with(good_tables(), nr_modules=64)
    machine.boot(PVH)
    check(machine, "E_TABLES_COUNT", 1, 64, 64, 63)


def test_an_array_of_the_tables_that_is_not_aligned() -> None:
    domains = C["TABLES_SIZEOF"] + 4
    machine = machine_with(good_tables(), domains=domains)
    machine.boot(PVH)
    check(machine, "E_TABLES_OFFSET", domains + C["BOOT_DOMAIN_SIZEOF"], len(good_tables().encode(domains=domains)))


def test_tables_whose_name_lies_outside_still_say_so() -> None:
    machine = machine_with(good_tables(), name=0x10000)
    machine.boot(PVH)
    check(machine, "E_TABLES_OFFSET", 0x10000, len(good_tables().encode()))
    assert machine.transcript.startswith(line("M_ENTRY", "-", *stub_place(machine), "PVH", "-"))
