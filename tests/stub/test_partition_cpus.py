"""The resident part of the partition launcher, before it touches memory: what it was given, the cpu, the other cpus."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
import unicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import SCRATCH, C
from resident import BASE, PAGE, Resident
from unicorn import x86_const as x86

VCPUS, DOMAINS, NAME = SCRATCH, SCRATCH + 0x40000, SCRATCH + 0x80000
RSDP, ROOT, MADT = 0xE0000, SCRATCH + 0x90000, SCRATCH + 0xA0000
IO_APIC = 0xFEC00000
INTEL = C["CPUID_VENDOR_INTEL"]
ANY = C["ANY_CPU"]


def failed(machine: Resident, routine: str, **registers: int) -> str:
    """The number of the error that a routine ends in, "" for none."""
    machine.call(routine, **registers)
    return machine.error()[:5]


def number(name: str) -> str:
    return f"E{C[name]:04x}"


# --- the partition ---------------------------------------------------------------------------------


def test_the_settings_are_the_partition_s() -> None:
    machine = Resident()
    machine.sealed(
        nr_domains=1,
        nr_vcpus=1,
        console=3,
        log=2,
        serial_port=C["UART_COM1"],
        serial_divisor=3,
        on_failure=1,
        reboot_seconds=9,
    )
    machine.call("find_partition")
    assert not machine.error()
    assert machine.variable("serial_port", 2) == C["UART_COM1"] and machine.variable("serial_divisor", 2) == 3
    assert machine.variable("log_level", 1) == 2 and machine.variable("on_failure", 4) == 1
    assert machine.variable("reboot_seconds", 4) == 9
    assert machine.variable("console_sinks", 1) == C["CONSOLE_SERIAL"] | C["CONSOLE_VGA"]


@pytest.mark.provokes("E_PARTITION_MAGIC")
def test_no_partition() -> None:
    machine = Resident()
    machine.sealed(magic=1)
    assert failed(machine, "find_partition") == number("E_PARTITION_MAGIC")


@pytest.mark.provokes("E_PARTITION_LENGTH")
def test_a_partition_that_is_too_long() -> None:
    machine = Resident()
    machine.put(BASE, "partition", magic=C["PARTITION_MAGIC_VALUE"], length=C["MAX_PARTITION"] + 1)
    assert failed(machine, "find_partition") == number("E_PARTITION_LENGTH")


@pytest.mark.provokes("E_PARTITION_CHECKSUM")
@pytest.mark.parametrize("at", [0x10, 0x400, 2 * PAGE - 1])
def test_a_damaged_partition(at: int) -> None:
    machine = Resident()
    machine.sealed(length=2 * PAGE, nr_domains=1, nr_vcpus=1)
    machine.write(BASE + at, bytes([machine.read(BASE + at, 1)[0] ^ 4]))
    assert failed(machine, "find_partition") == number("E_PARTITION_CHECKSUM")


@pytest.mark.provokes("E_PARTITION_COUNT")
@pytest.mark.parametrize(("domains", "vcpus"), [(0, 1), (65, 65), (1, 0), (1, 65)])
def test_a_partition_of_too_many(domains: int, vcpus: int) -> None:
    machine = Resident()
    machine.sealed(nr_domains=domains, nr_vcpus=vcpus, console=1, serial_port=C["UART_COM1"], serial_divisor=1)
    assert failed(machine, "find_partition") == number("E_PARTITION_COUNT")


# --- the cpu ---------------------------------------------------------------------------------------


def amd(features: int = 0, svm: int = C["CPUID_SVM_EDX_NP"], vendor: int = C["CPUID_VENDOR_AMD"]) -> Resident:
    """A cpu with SVM whose TSC runs at 2400 MHz by CPUID."""
    machine = Resident()
    machine.uc.mem_map(C["LAPIC_ADDRESS"], PAGE)
    machine.write(C["LAPIC_ADDRESS"] + C["LAPIC_ID"], struct.pack("<I", 5 << 24))
    machine.cpuid = {
        0: (0x16, vendor, 0, 0),
        C["CPUID_FEATURES"]: (0, 0, features, 0),
        C["CPUID_TSC"]: (2, 200, 24_000_000, 0),
        C["CPUID_EXTENDED"]: (0, 0, C["CPUID_EXTENDED_ECX_SVM"], 0),
        C["CPUID_SVM"]: (1, 16, 0, svm),
    }
    return machine


def test_a_machine_that_will_do() -> None:
    machine = amd()
    machine.call("find_machine")
    assert machine.transcript == "bootwright: partition: AMD SVM, nested paging, xAPIC, TSC 2400 MHz\n"
    assert machine.variable("boot_apic_id", 4) == 5 and machine.variable("x2apic", 4) == 0


@pytest.mark.provokes("E_PARTITION_INTEL")
def test_an_intel_cpu() -> None:
    machine = amd(vendor=INTEL)
    machine.cpuid[C["CPUID_EXTENDED"]] = (0, 0, 0, 0)
    assert failed(machine, "find_machine") == number("E_PARTITION_INTEL")


@pytest.mark.provokes("E_NO_SVM")
def test_a_cpu_without_svm() -> None:
    machine = amd()
    machine.cpuid[C["CPUID_EXTENDED"]] = (0, 0, 0, 0)
    assert failed(machine, "find_machine") == number("E_NO_SVM")


@pytest.mark.provokes("E_NO_NESTED_PAGING")
def test_a_cpu_without_nested_paging() -> None:
    assert failed(amd(svm=0), "find_machine") == number("E_NO_NESTED_PAGING")


@pytest.mark.provokes("E_SVM_OFF")
@pytest.mark.parametrize("lock", [0, C["VM_CR_LOCK"]])
def test_svm_that_the_firmware_has_switched_off(lock: int) -> None:
    machine = amd()
    machine.write(machine.symbols["read_msr"], bytes([0xB0, C["VM_CR_SVMDIS"] | lock]))  # mov al, in place of rdmsr
    assert failed(machine, "find_machine") == number("E_SVM_OFF")
    assert ("(VM_CR locked)" in machine.error()) == bool(lock)


def test_a_general_protection_fault_that_is_expected() -> None:
    """As a cpu without VM_CR raises it: what follows is told by the list, registers are as they were, CF is set."""
    machine = Resident()
    machine.call("load_descriptors")
    frame = struct.pack(
        "<6Q", 0, machine.symbols["read_msr"], C["GDT_CODE64"], 2, SCRATCH + 0x1000, C["GDT_DATA"]
    )  # error code, RIP, CS, RFLAGS, RSP, SS
    machine.write(SCRATCH, frame)
    machine.write(SCRATCH + 0x1000, struct.pack("<Q", 0x9000))
    machine.uc.reg_write(x86.UC_X86_REG_RSP, SCRATCH)
    machine.uc.reg_write(x86.UC_X86_REG_RCX, 0xC0010114)
    machine.uc.reg_write(x86.UC_X86_REG_RAX, 7)
    machine.run(machine.symbols["on_protection"], 10000)
    assert machine.carry_flag and machine.register("rax") == 0 and machine.register("rcx") == 0xC0010114


@pytest.mark.provokes("E_EXCEPTION")
def test_a_general_protection_fault_that_is_not() -> None:
    machine = Resident()
    machine.call("load_descriptors")
    frame = struct.pack("<6Q", 0x12, 0x345678, C["GDT_CODE64"], 2, SCRATCH + 0x1000, C["GDT_DATA"])
    machine.write(SCRATCH, frame)
    machine.uc.reg_write(x86.UC_X86_REG_RSP, SCRATCH)
    machine.run(machine.symbols["on_protection"], 1_000_000)
    assert machine.error() == "E0110: cpu exception 13 (#GP) at 0x345678, error code 0x12"


@pytest.mark.parametrize("name", ["wait_for_word", "halt_for_nmi", "write_msr"])
@pytest.mark.parametrize("distance", range(-2, 3))
def test_behind_an_nmi_the_word_is_looked_at_again(name: str, distance: int) -> None:
    """Between the look at the word and the hlt the NMI comes too early to wake it. Elsewhere it changes nothing."""
    machine = Resident()
    machine.call("load_descriptors")
    start, halt = machine.symbols["wait_for_word"], machine.symbols["halt_for_nmi"]
    before = machine.symbols[name] + distance
    frame = struct.pack("<5Q", before, C["GDT_CODE64"], 2, SCRATCH + 0x1000, C["GDT_DATA"])
    machine.write(SCRATCH, frame)
    machine.uc.reg_write(x86.UC_X86_REG_RSP, SCRATCH)
    machine.uc.reg_write(x86.UC_X86_REG_RAX, 0x1234)
    machine.uc.reg_write(x86.UC_X86_REG_RDX, 0x5678)
    after = start if start <= before <= halt else before
    machine.uc.emu_start(machine.symbols["on_nmi"], after, count=20)
    assert machine.register("rip") == after and machine.register("rsp") == SCRATCH + 0x1000
    assert (machine.register("rax"), machine.register("rdx")) == (0x1234, 0x5678)


# --- the time-stamp counter ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpuid", "hertz"),
    [
        ({0: (0x16, 0, 0, 0), 0x15: (2, 188, 25_000_000, 0)}, 2_350_000_000),
        (
            {
                0: (1, 0, 0, 0),
                1: (0, 0, 1 << 31, 0),
                0x40000000: (0x40000010, 0, 0, 0),
                0x40000010: (3_000_001, 0, 0, 0),
            },
            3_000_001_000,
        ),
        ({0: (0x16, 0, 0, 0), 0x15: (0, 0, 0, 0)}, 0),
        ({0: (0x15, 0, 0, 0), 0x15: (2, 188, 0, 0)}, 0),
        ({0: (1, 0, 0, 0), 1: (0, 0, 0, 0), 0x40000000: (0x40000010, 0, 0, 0), 0x40000010: (3_000_001, 0, 0, 0)}, 0),
        ({0: (1, 0, 0, 0), 1: (0, 0, 1 << 31, 0), 0x40000000: (0x40000001, 0, 0, 0), 0x40000010: (1, 0, 0, 0)}, 0),
    ],
)
def test_the_rate_that_cpuid_says(cpuid: dict[int, tuple[int, int, int, int]], hertz: int) -> None:
    machine = Resident()
    machine.cpuid = cpuid
    assert machine.call("ask_tsc_rate") == hertz


class Timed(Resident):
    """A machine with a PIT, whose TSC goes on with every instruction that reads or writes a port.

    rate: ticks of the TSC for each microsecond; disturbed: in which reads of the PIT the cpu is away for how many
    microseconds, between the TSC and the PIT.
    """

    def __init__(self, rate: int, disturbed: dict[int, int] | None = None) -> None:
        super().__init__()
        self.rate, self.disturbed, self.now, self.latches = rate, disturbed or {}, 0.0, 0
        self.loaded_at, self.latched = 0.0, b""
        for name in ("read_pit", "wait_microseconds"):
            start = self.symbols[name]
            self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_code, None, start, start + 64)

    def _on_code(self, uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        if self.read(address, 2) == b"\x0f\x31":  # rdtsc: done here, and skipped
            ticks = int(self.now * self.rate)
            uc.reg_write(x86.UC_X86_REG_RAX, ticks & 0xFFFFFFFF)
            uc.reg_write(x86.UC_X86_REG_RDX, ticks >> 32)
            uc.reg_write(x86.UC_X86_REG_RIP, address + 2)

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, data: object) -> int:
        self.now += 3
        if port == C["PORT_PIT_2"] and self.latched:
            value, self.latched = self.latched[0], self.latched[1:]
            return value
        return super()._on_in(uc, port, size, data)

    def _on_out(self, uc: unicorn.Uc, port: int, size: int, value: int, data: object) -> None:
        self.now += 0.5
        if port == C["PORT_PIT_COMMAND"] and value == C["PIT_MODE_0"]:
            self.loaded_at = self.now
        elif port == C["PORT_PIT_COMMAND"] and value == C["PIT_LATCH_2"]:
            self.latches += 1
            self.now += self.disturbed.get(self.latches, 0)
            count = 0xFFFF - int((self.now - self.loaded_at) * C["PIT_HZ"] / 1e6)
            self.latched = struct.pack("<H", count & 0xFFFF)
        self.now += 0.5


@pytest.mark.parametrize(
    ("rate", "disturbed"),
    [
        (1000, {}),
        (4999, {}),
        (2445, {2: 3000}),
        (2445, {2: 30, 4: 30}),
        (2445, {number: 500 for number in range(2, 9000, 300)}),
        (2445, {2: 70_000}),
    ],
)
def test_the_rate_is_measured(rate: int, disturbed: dict[int, int]) -> None:
    """Within 200 parts in a million, however the cpu is disturbed between the two clocks."""
    machine = Timed(rate, disturbed)
    assert machine.call("time_tsc") == pytest.approx(rate * 1e6, rel=200e-6)


@pytest.mark.provokes("E_NO_TSC_RATE")
def test_a_machine_without_a_pit() -> None:
    assert failed(Resident(), "measure_tsc") == number("E_NO_TSC_RATE")


@settings(max_examples=60, deadline=None)
@given(st.integers(1_000_000, 20_000_000_000), st.integers(0, 10**9))
def test_a_guest_makes_nanoseconds_of_it(hertz: int, ticks: int) -> None:
    """As Linux does in pvclock_scale_delta: within one part in 10^8, and one unit."""
    machine = Resident()
    machine.cpuid = {0: (0x16, 0, 0, 0), 0x15: (1, 1, 0, 0)}
    machine.uc.reg_write(x86.UC_X86_REG_RBX, hertz)
    machine.cpuid = {
        0: (1, 0, 0, 0),
        1: (0, 0, 1 << 31, 0),
        0x40000000: (0x40000010, 0, 0, 0),
        0x40000010: (hertz // 1000, 0, 0, 0),
    }
    machine.call("measure_tsc")
    hertz = hertz // 1000 * 1000
    shift = struct.unpack("<i", struct.pack("<I", machine.variable("clock_shift", 4)))[0]
    multiplier = machine.variable("clock_multiplier", 4)
    shifted = ticks << shift if shift >= 0 else ticks >> -shift
    wanted = ticks * 10**9 / hertz
    assert shifted * multiplier >> 32 == pytest.approx(wanted, rel=1e-8, abs=2 + (1 << max(0, -shift)) * 1e9 / hertz)
    assert machine.variable("tsc_khz") == hertz // 1000


# --- the MADT --------------------------------------------------------------------------------------


def table(signature: bytes, body: bytes) -> bytes:
    data = bytearray(struct.pack("<4sIBB", signature, 36 + len(body), 1, 0).ljust(36, b"\0") + body)
    data[9] = -sum(data) & 0xFF
    return bytes(data)


def xapic(identity: int, flags: int = 1) -> bytes:
    return struct.pack("<BBBBI", 0, 8, identity & 0x7F, identity, flags)


def x2apic(identity: int, flags: int = 1) -> bytes:
    return struct.pack("<BBHIII", 9, 16, 0, identity, flags, identity)


def with_madt(entries: bytes, xsdt: bool = True, boot: int = 0, mode: int = 0) -> Resident:
    machine = Resident()
    machine.uc.mem_map(IO_APIC, PAGE)
    machine.write(MADT, table(b"APIC", struct.pack("<II", 0xFEE00000, 1) + entries))
    others = [SCRATCH + 0xB0000, SCRATCH + 0xB1000]
    machine.write(others[0], table(b"FACP", bytes(80)))
    machine.write(others[1], table(b"HPET", bytes(20)))
    addresses = [others[0], 0x1_0000_0000, MADT, others[1]] if xsdt else [others[0], MADT, others[1]]
    body = b"".join(struct.pack("<Q" if xsdt else "<I", address) for address in addresses)
    machine.write(ROOT, table(b"XSDT" if xsdt else b"RSDT", body))
    head = bytearray(
        struct.pack("<8sB6sBIIQ", b"RSD PTR ", 0, b"test", 2 if xsdt else 0, ROOT, 36, ROOT if xsdt else 0)
    )
    head[8] = -sum(head[:20]) & 0xFF
    machine.write(RSDP, bytes(head) + bytes(4))
    machine.set_variable("kept_rsdp", RSDP)
    machine.set_variable("boot_apic_id", boot, 4)
    machine.set_variable("x2apic", mode, 4)
    return machine


def found(machine: Resident) -> list[int]:
    count = machine.variable("nr_machine_cpus", 4)
    return list(struct.unpack(f"<{count}I", machine.read(machine.symbols["machine_cpus"], 4 * count)))


@pytest.mark.parametrize("xsdt", [True, False])
def test_enabled_cpus_in_the_madt_s_order(xsdt: bool) -> None:
    other = struct.pack("<BBBBII", 1, 12, 0, 0, 0xFEC00000, 0)
    entries = xapic(2) + other + xapic(0) + xapic(4, 0) + xapic(6, 2) + x2apic(3) + x2apic(0) + xapic(255)
    machine = with_madt(entries, xsdt)
    machine.call("find_cpus")
    assert not machine.error() and found(machine) == [2, 0, 3]


def test_no_device_interrupts() -> None:
    """Both 8259s and every entry of an I/O APIC are masked: the guest that has the cpu would get them."""
    other = struct.pack("<BBBBII", 1, 12, 0, 0, IO_APIC, 0)
    machine = with_madt(xapic(0) + other)
    selected, written = [0], {}

    def on_read(uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        if selected[0] == 1:
            machine.write(address, struct.pack("<I", 23 << 16 | 0x20))

    def on_write(uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        if address == IO_APIC:
            selected[0] = value
        else:
            written[selected[0]] = value

    machine.uc.hook_add(unicorn.UC_HOOK_MEM_READ, on_read, None, IO_APIC + 16, IO_APIC + 19)
    machine.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, on_write, None, IO_APIC, IO_APIC + PAGE)
    machine.call("find_cpus")
    assert not machine.error()
    assert written == {0x10 + 2 * entry: 1 << 16 for entry in range(24)}
    assert {(0x21, 0xFF), (0xA1, 0xFF)} <= set(machine.ports)


def test_ids_beyond_8_bits_are_for_x2apic() -> None:
    for mode, wanted in ((0, [0]), (1, [0, 300, 255])):
        machine = with_madt(xapic(0) + x2apic(300) + x2apic(255), mode=mode)
        machine.call("find_cpus")
        assert found(machine) == wanted


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(xapic, st.integers(0, 255), st.integers(0, 3)),
            st.builds(x2apic, st.integers(0, 600), st.integers(0, 3)),
            st.builds(
                lambda kind, size: bytes([kind, size + 2, *[7] * size]),
                st.sampled_from([2, 4, 10, 200]),
                st.integers(0, 30),
            ),
        ),
        max_size=40,
    ),
    st.integers(0, 1),
)
def test_the_list_is_that_of_a_twin(entries: Sequence[bytes], mode: int) -> None:
    wanted: list[int] = []
    for entry in [xapic(0), *entries]:
        identity = -1
        if entry[0] == 0 and entry[4] & 1 and entry[3] != 255:
            identity = entry[3]
        if entry[0] == 9 and entry[8] & 1:
            identity = int.from_bytes(entry[4:8], "little")
            identity = identity if mode or identity < 255 else -1
        if identity >= 0 and identity not in wanted:
            wanted.append(identity)
    machine = with_madt(xapic(0) + b"".join(entries), mode=mode)
    machine.call("find_cpus")
    assert not machine.error() and found(machine) == wanted


@pytest.mark.provokes("E_MADT")
@pytest.mark.parametrize(
    "entries", [xapic(0) + b"\0", xapic(0) + b"\0\0", xapic(0) + b"\x01\x0cab", xapic(0) + b"\0\x01"]
)
def test_entries_that_do_not_end_with_the_table(entries: bytes) -> None:
    assert failed(with_madt(entries), "find_cpus") == number("E_MADT")


@pytest.mark.provokes("E_MADT")
def test_a_damaged_madt() -> None:
    machine = with_madt(xapic(0) + xapic(1))
    machine.write(MADT + 47, b"\xee")
    assert failed(machine, "find_cpus") == number("E_MADT")


@pytest.mark.provokes("E_NO_RSDP")
@pytest.mark.parametrize("rsdp", [0, 1 << 32, RSDP + 16, RSDP])
def test_no_root_pointer(rsdp: int) -> None:
    machine = with_madt(xapic(0))
    machine.set_variable("kept_rsdp", rsdp)
    if rsdp == RSDP:
        machine.write(RSDP + 12, b"!")
    assert failed(machine, "find_cpus") == number("E_NO_RSDP")


@pytest.mark.provokes("E_NO_MADT")
@pytest.mark.parametrize("damage", [(ROOT + 20, b"!"), (MADT, b"BPIC"), (ROOT + 4, b"\xff\xff\xff\xff")])
def test_no_madt(damage: tuple[int, bytes]) -> None:
    machine = with_madt(xapic(0))
    machine.write(*damage)
    assert failed(machine, "find_cpus") == number("E_NO_MADT")


@pytest.mark.provokes("E_TOO_MANY_CPUS")
def test_more_cpus_than_there_is_room_for() -> None:
    most = C["MAX_MACHINE_CPUS"]
    entries = b"".join(x2apic(number) for number in range(most))
    machine = with_madt(entries, mode=1)
    machine.call("find_cpus")
    assert len(found(machine)) == most
    assert failed(with_madt(entries + x2apic(most), mode=1), "find_cpus") == number("E_TOO_MANY_CPUS")


@pytest.mark.provokes("E_BOOT_CPU")
def test_a_boot_cpu_that_the_madt_does_not_have() -> None:
    assert failed(with_madt(xapic(0) + xapic(1), boot=2), "find_cpus") == number("E_BOOT_CPU")


# --- cpus for domains ------------------------------------------------------------------------------


def with_domains(ids: Sequence[int], wanted: Sequence[Sequence[int]], boot: int = 0) -> Resident:
    """A machine of these APIC ids, domains of cpus that want one or ANY."""
    machine = Resident()
    flat = [identity for domain in wanted for identity in domain]
    first = 0
    for index, domain in enumerate(wanted):
        at = DOMAINS + index * C["DOMAIN_SIZEOF"]
        name = machine.text(NAME + 16 * index, f"dom{index}")
        machine.put(at, "domain", name=name, first_vcpu=first, nr_vcpus=len(domain))
        for vcpu, identity in enumerate(domain):
            place = VCPUS + (first + vcpu) * C["VCPU_SIZEOF"]
            machine.put(place, "vcpu", domain=at, number=vcpu, wanted_id=identity, host_save=SCRATCH + 0x30000)
        first += len(domain)
    machine.put(BASE, "partition", nr_domains=len(wanted), domains=DOMAINS, nr_vcpus=len(flat), vcpus=VCPUS)
    machine.write(machine.symbols["machine_cpus"], struct.pack(f"<{len(ids)}I", *ids))
    machine.set_variable("nr_machine_cpus", len(ids), 4)
    machine.set_variable("boot_apic_id", boot, 4)
    return machine


def assigned(machine: Resident, count: int) -> list[int]:
    places = [VCPUS + number * C["VCPU_SIZEOF"] for number in range(count)]
    return [machine.record("vcpu", place).apic_id for place in places]


@pytest.mark.parametrize(
    ("ids", "boot", "wanted", "given"),
    [
        ([0, 1, 2, 3], 0, [[ANY, ANY], [ANY]], [0, 1, 2]),
        ([4, 2, 0, 6], 0, [[ANY, ANY], [ANY, ANY]], [0, 4, 2, 6]),
        ([0, 1, 2, 3], 0, [[ANY], [0, ANY]], [1, 0, 2]),
        ([0, 1, 2, 3], 2, [[3, ANY], [ANY, 0]], [3, 2, 1, 0]),
        ([0, 1, 2, 3], 3, [[3], [ANY, ANY]], [3, 0, 1]),
    ],
)
def test_which_domain_gets_which_cpu(ids: list[int], boot: int, wanted: list[list[int]], given: list[int]) -> None:
    machine = with_domains(ids, wanted, boot)
    machine.call("assign_cpus")
    assert not machine.error() and assigned(machine, len(given)) == given


@pytest.mark.provokes("E_CPU_MISSING")
def test_a_cpu_that_is_not_there() -> None:
    machine = with_domains([0, 1], [[ANY], [7]])
    machine.call("assign_cpus")
    assert (
        machine.error()
        == "E0825: domain dom1: this machine has no enabled cpu with the APIC id 7 that its cpu-ids name"
    )


@pytest.mark.provokes("E_CPU_TWICE")
def test_a_cpu_that_two_want() -> None:
    assert failed(with_domains([0, 1], [[1], [1]]), "assign_cpus") == number("E_CPU_TWICE")


@pytest.mark.provokes("E_TOO_FEW_CPUS")
def test_too_few_cpus() -> None:
    machine = with_domains([0, 1], [[ANY], [ANY, ANY]])
    machine.call("assign_cpus")
    assert machine.error() == (
        "E0827: domain dom1: there is no cpu left for its cpu 1: all domains need 3, this machine has 2"
    )


@pytest.mark.provokes("E_CPU_SILENT")
def test_cpus_are_started_and_must_answer() -> None:
    """INIT to every other cpu, twice SIPI to those that are used; here none answers."""
    machine = with_domains([0, 1, 2], [[ANY], [ANY]])
    machine.memory_map([(0, 0x9FC00, 1)])
    machine.set_variable("tsc_khz", 1)
    machine.uc.mem_map(C["LAPIC_ADDRESS"], PAGE)
    machine.call("assign_cpus")
    sent: list[tuple[int, int]] = []

    def on_write(uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        if address == C["LAPIC_ADDRESS"] + C["LAPIC_ICR"]:
            high = machine.read(C["LAPIC_ADDRESS"] + C["LAPIC_ICR_HIGH"], 4)
            sent.append((high[3], value))

    machine.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, on_write, None, C["LAPIC_ADDRESS"], C["LAPIC_ADDRESS"] + PAGE)
    machine.call("start_cpus")
    assert machine.error() == "E0828: domain dom1: the cpu that is to be its cpu 0, APIC id 1, does not answer"
    assert sent == [(1, 0x4500), (2, 0x4500), (1, 0x4601), (1, 0x4601)]
    trampoline = machine.symbols["trampoline"]
    size = machine.symbols["trampoline_end"] - trampoline
    assert machine.read(PAGE, size) == machine.read(trampoline, size)


@pytest.mark.provokes("E_NO_LOW_PAGE")
@pytest.mark.parametrize(
    ("ranges", "page"),
    [
        ([(0, 0x9FC00, 1)], 0x1000),
        ([(0, 0x2800, 1), (0x2800, 0x1000, 2), (0x3800, 0x90000, 1)], 0x1000),
        ([(0, 0x90000, 1), (0x800, 0x1000, 2)], 0x2000),
        ([(0x1001, 0x9E000, 1)], 0x2000),
        ([(0, 0x1FFF, 1), (0x100000, 1 << 30, 1)], None),
    ],
)
def test_the_page_that_cpus_start_in(ranges: list[tuple[int, int, int]], page: int | None) -> None:
    machine = Resident()
    machine.memory_map(ranges)
    where = machine.call("find_low_page")
    assert machine.error()[:5] == (number("E_NO_LOW_PAGE") if page is None else "")
    assert page is None or where == page
