"""From the domains to the launch, under Unicorn: what the builder refuses, and what hypervisors and Linux are told."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from booting import KERNEL, PVH, TEXT, boot, check, good_tables, line, machine_with
from machine import RAM, C
from worlds import HIGH, LOW, MIB, booted, fails, linux, plan

from bootwright.plan.records import Plan, PlannedHypervisor
from bootwright.reference.machine import Efi, Framebuffer


@pytest.mark.provokes("E_TOO_LITTLE_MEMORY")
def test_a_domain_that_needs_more_memory_than_there_is() -> None:
    kib = (0x9FC00 + RAM - 0x100000) >> 10
    check(boot(good_tables(mem_min=RAM >> 12)), "E_TOO_LITTLE_MEMORY", "dom0", RAM >> 10, kib)


@pytest.mark.provokes("E_NO_INITIAL_DOMAIN")
def test_no_initial_domain() -> None:
    check(boot(good_tables(functions=0)), "E_NO_INITIAL_DOMAIN", 1)


@pytest.mark.provokes("E_NO_KERNEL")
def test_an_initial_domain_without_kernel() -> None:
    check(boot(good_tables(kernel=C["NO_MODULE"])), "E_NO_KERNEL", "dom0")


@pytest.mark.provokes("E_CMDLINE_TOO_LONG")
@pytest.mark.parametrize(
    ("room", "limit", "reader"),
    [
        (0, 2047, "the stub"),  # the kernel does not say
        (0xFFFFFFFF, 2047, "the stub"),
        (2049, 2047, "the stub"),
        (2048, 2047, "dom0.kernel"),
        (1024, 1023, "dom0.kernel"),
        (256, 255, "dom0.kernel"),
    ],
)
@pytest.mark.parametrize("over", [0, 1])
def test_a_command_line_that_grows_too_long(room: int, limit: int, reader: str, over: int) -> None:
    tables = good_tables(cmdline_room=room)
    length = limit - len(" extra  words") + over
    tables.modules[0]["string"] = "x" * length
    machine = boot(tables)
    if not over:
        assert line("M_CMDLINE", 0, "x" * length + " extra  words") in machine.transcript and not machine.failed
    else:
        check(machine, "E_CMDLINE_TOO_LONG", "dom0", limit, reader)


@pytest.mark.provokes("E_NO_GUEST_INTERFACE")
@pytest.mark.parametrize("mode", ["MODE_PARAVIRTUALIZED", "MODE_DEVICE_MODEL"])
def test_a_mode_that_needs_a_hypervisor(mode: str) -> None:
    check(
        boot(good_tables(mode=C[mode] | C["MODE_LONG"])),
        "E_NO_GUEST_INTERFACE",
        "dom0",
        C[mode] | C["MODE_LONG"],
    )


@pytest.mark.provokes("E_NO_HARDWARE_DOMAIN")
def test_no_hardware_domain_was_built() -> None:
    machine = machine_with(good_tables())
    routine = machine.symbols["builder_get_hwdom"]
    code = machine.read(routine, 1)
    machine.write(routine, b"\xf4")
    machine.boot(PVH)  # up to there; then the domain is taken away
    machine.write(routine, code)
    machine.uc.ctl_flush_tb()
    machine.write(machine.variable("domains") + C["BOOT_DOMAIN_CONSTRUCTED"], b"\0\0")
    machine.call("builder_get_hwdom")
    check(machine, "E_NO_HARDWARE_DOMAIN", 1)


@pytest.mark.provokes("E_DOMID")
def test_an_initial_domain_with_another_domid() -> None:
    check(boot(good_tables(domid=5)), "E_DOMID", "dom0", 5, 0)


@pytest.mark.provokes("E_VCPU")
def test_two_initial_domains() -> None:
    tables = good_tables()
    tables.domains.append(dict(tables.domains[0], name="dom0b"))
    check(boot(tables), "E_VCPU", "dom0b", 2, 1)


@pytest.mark.provokes("E_PROTOCOL")
def test_a_launch_protocol_that_is_not_there() -> None:
    check(boot(good_tables(protocol=99)), "E_PROTOCOL", "dom0", 99)


@pytest.mark.provokes("E_ENTRY")
@pytest.mark.parametrize("entry", [0, KERNEL - 1, KERNEL + len(TEXT)])
def test_an_entry_outside_of_the_kernel(entry: int) -> None:
    check(boot(good_tables(entry=entry)), "E_ENTRY", "dom0", entry)


def test_the_hardware_domain_need_not_be_the_initial_one() -> None:
    domains = good_tables(permissions=0, functions=0)
    permissions = C["PERMISSION_HARDWARE"]
    domains.domains.append(dict(domains.domains[0], name="driver", domid=7, permissions=permissions))
    machine = machine_with(domains)
    machine.set_variable("tables", machine.symbols["__start_tables"])
    first = machine.symbols["__start_tables"] + C["TABLES_SIZEOF"]
    machine.set_variable("domains", first)
    for number in range(2):  # both built, one with the permission
        built = first + number * C["BOOT_DOMAIN_SIZEOF"] + C["BOOT_DOMAIN_CONSTRUCTED"]
        machine.write(built, b"\1\0")
    machine.call("apply_settings")
    machine.call("builder_get_hwdom")
    assert machine.transcript == line("M_HWDOM", 7, "driver") + "\n"


# --- what kernels are told, as the reference has it ------------------------------------------------


def test_a_hypervisor_without_efi() -> None:
    found = plan("multiboot2", b"\xf4" * 64)
    assert isinstance(found.plan, Plan)
    xen = PlannedHypervisor(0, C["PROTOCOL_MULTIBOOT2"], "xen console=com1", KERNEL)
    found.plan = replace(found.plan, hypervisor=xen)
    booted(found)


@pytest.mark.parametrize(("tree", "why"), [(False, "M_SKIPPED_XEN"), (True, "M_NO_KERNEL")])
@pytest.mark.parametrize("order", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_domain_that_a_hypervisor_does_not_build(order: tuple[int, ...], tree: bool, why: str) -> None:
    """Of three domains one is given a kernel; a device tree tells the hypervisor of all that are."""
    found = plan("multiboot2", b"\xf4" * 64)
    assert isinstance(found.plan, Plan)
    (dom0,), (module,) = found.plan.domains, found.plan.modules
    if tree:
        module = replace(module, kind=C["BOOTMOD_FDT"])
    kinds = (dom0, replace(dom0, domain=replace(dom0.domain, name="other", functions=0, kernel=None), protocol=0))
    xen = PlannedHypervisor(0, C["PROTOCOL_MULTIBOOT2"], "xen console=com1", KERNEL)
    domains = tuple(kinds[which] for which in order)
    found.plan = replace(found.plan, domains=domains, modules=(module,), hypervisor=xen)
    stub, _ = booted(found)
    assert line("M_HYPERVISOR", "vmlinux", 1, 3) in stub.transcript
    assert stub.transcript.count(line(why, "other") + "\n") == 2
    found.plan = replace(found.plan, image=replace(found.plan.image, log=C["LOG_QUIET"]))
    quiet, _ = booted(found, C["LOG_QUIET"])
    assert quiet.transcript.splitlines() == [line(why, "other")] * 2


REAL_MODE = [{"code32_start": 0}, {"version": 0x203}, {"version": 0x205, "relocatable_kernel": 0}]


@pytest.mark.provokes("E_NO_BIOS")
@pytest.mark.parametrize("header", REAL_MODE)
def test_real_mode_without_a_bios(header: dict[str, int]) -> None:
    """No vectors of one; or EFI's boot services were there, and what lies at the vectors' place is nobody's."""
    found = linux(**header)
    found.bios = False
    fails(found, "E_NO_BIOS")
    found = linux(**header)
    found.loader, found.efi = "GRUB 2.06", Efi(0x3F000018)
    fails(found, "E_NO_BIOS")


@pytest.mark.parametrize("header", REAL_MODE)
def test_real_mode_with_a_bios(header: dict[str, int]) -> None:
    stub, _ = booted(linux(**header))
    mode = stub.enter_state.mode
    assert mode == C["ENTER_REAL_MODE"] and stub.read(0x90000 + 0x1FE, 2) == b"\x55\xaa", "the setup code is there"


def test_setup_code_has_no_place() -> None:
    found = linux(code32_start=0)
    found.ranges = [(0, 0x98000, 1), HIGH]
    fails(found, "E_NO_ROOM")


@pytest.mark.parametrize("ranges", [128, 129, 400])
def test_linux_gets_a_long_memory_map_in_two_parts(ranges: int) -> None:
    # Documentation/arch/x86/boot.rst, "setup_data": next, type, len, and SETUP_E820_EXT is 1
    found = linux()
    odd = [(48 * MIB + 0x1000 * number, 0x1000, 2 + number % 2) for number in range(ranges - 3)]
    found.ranges = [LOW, (MIB, 47 * MIB, 1), *odd, (odd[-1][0] + 0x1000, 0x1000, 1)]
    stub, _ = booted(found)
    params = stub.record("boot_params", stub.information[0])
    told = bytes(params.e820_table)[: 20 * params.e820_entries]
    assert params.e820_entries == min(ranges, 128)
    if ranges > 128:
        following, kind, size = struct.unpack("<QII", stub.read(params.setup_data, 16))
        assert (following, kind) == (0, 1)
        told += stub.read(params.setup_data + 16, size)
    assert told == b"".join(struct.pack("<QQI", *part) for part in found.ranges)


@pytest.mark.parametrize("address", [0xB8000, 0xE0000000, 0x123400000000])
@pytest.mark.parametrize("kind", ["RGB", "EGA_TEXT"])
def test_linux_is_told_of_the_screen(address: int, kind: str) -> None:
    found, number = linux(), C[f"MULTIBOOT2_FRAMEBUFFER_{kind}"]
    colours = bytes([16, 8, 8, 8, 0, 8])
    found.framebuffer = Framebuffer(address, 5120, 1280, 800, 32, number, colours)
    found.loader = "GRUB 2.06"
    stub, _ = booted(found)
    params = stub.record("boot_params", stub.information[0])
    if kind == "RGB":
        assert params.lfb_base + (params.ext_lfb_base << 32) == address
        assert params.capabilities >> 1 & 1 == (address >= 1 << 32)
        assert (params.red_pos, params.green_pos, params.blue_pos) == (16, 8, 0)
