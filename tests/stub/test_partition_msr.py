"""RDMSR and WRMSR of a guest: all of the three ranges by the rules, and those that a routine handles."""

from __future__ import annotations

import datetime

import pytest
import unicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from run_time import BANK_SIZE, BANKS, RAM, RINGS, C, Dom, RunTime

GP = C["EVENT_VALID"] | C["EVENT_TYPE_EXCEPTION"] | C["EVENT_ERROR_CODE_VALID"] | 13
MACHINE, FIXED, REFUSED, IGNORED, HANDLED = (
    C[f"RULE_{name}"] for name in ("MACHINE", "FIXED", "REFUSED", "IGNORED", "HANDLED")
)
SVME, LME, LMA, NXE, SCE = 1 << 12, 1 << 8, 1 << 10, 1 << 11, 1
EFER, APIC_BASE, WALL, CLOCK = 0xC0000080, 0x1B, 0x4B564D00, 0x4B564D01

RULES = [
    {"first": 0x1B, "last": 0x1B, "read": HANDLED, "write": HANDLED},
    {"first": 0xFE, "last": 0xFE, "read": FIXED, "write": IGNORED, "value": 0x1234567890ABCDEF},
    {"first": 0x200, "last": 0x2FF, "read": IGNORED, "write": IGNORED},
    {"first": 0x250, "last": 0x260, "read": REFUSED, "write": REFUSED},  # the first rule counts
    {"first": 0x480, "last": 0x4FF, "read": REFUSED, "write": REFUSED},
    {"first": 0x600, "last": 0x6FF, "read": MACHINE, "write": REFUSED},
    {"first": 0x800, "last": 0x8FF, "read": HANDLED, "write": HANDLED},
    {"first": EFER, "last": EFER, "read": HANDLED, "write": HANDLED},
    {"first": 0xC0010114, "last": 0xC0010118, "read": REFUSED, "write": REFUSED},
    {"first": WALL, "last": CLOCK, "read": HANDLED, "write": HANDLED},
]
RANGES = [range(0x2000), range(0xC0000000, 0xC0002000), range(0xC0010000, 0xC0012000)]
ROUTINES = {APIC_BASE, EFER, WALL, CLOCK, *range(0x800, 0x900)}


def machine_value(number: int) -> int | None:
    """The MSRs of a machine: of three, one is not there."""
    return None if number % 3 == 0 else number * 0x100000003


def rule_of(number: int) -> dict[str, int]:
    for rule in RULES:
        if rule["first"] <= number <= rule["last"]:
            return rule
    return {"read": MACHINE, "write": IGNORED}


def read(machine: RunTime, number: int, vcpu: int = 0) -> int | None:
    """What a guest reads; None for #GP."""
    machine.set_vcpu(vcpu, rcx=0xFFFF << 32 | number, rdx=2**64 - 1)
    machine.exit(0x7C, vcpu, exitinfo1=0, rip=0x1000, rax=2**64 - 1)
    if machine.vmcb("eventinj", vcpu):
        assert machine.vmcb("eventinj", vcpu) == GP and machine.vmcb("rip", vcpu) == 0x1000
        assert machine.vmcb("rax", vcpu) == machine.of_vcpu("rdx", vcpu) == 2**64 - 1
        return None
    assert machine.vmcb("rip", vcpu) == 0x1002
    return machine.of_vcpu("rdx", vcpu) << 32 | machine.vmcb("rax", vcpu)


def write(machine: RunTime, number: int, value: int, vcpu: int = 0) -> bool:
    """Whether a guest's write is taken; else it gets #GP."""
    high = 0xFEDC << 32
    machine.set_vcpu(vcpu, rcx=high | number, rdx=high | value >> 32)
    machine.exit(0x7C, vcpu, exitinfo1=1, rip=0x1000, rax=high | value & 0xFFFFFFFF)
    taken = not machine.vmcb("eventinj", vcpu)
    assert taken or machine.vmcb("eventinj", vcpu) == GP
    assert machine.vmcb("rip", vcpu) == (0x1002 if taken else 0x1000)
    return taken


@pytest.mark.parametrize("numbers", RANGES)
def test_every_msr_is_as_the_rules_say(numbers: range) -> None:
    machine = RunTime(msr_rules=RULES)
    before = {number: value for number in numbers if (value := machine_value(number)) is not None}
    machine.msrs = dict(before)
    for number in numbers:
        if number in ROUTINES:
            continue
        rule = rule_of(number)
        expected = {
            MACHINE: machine_value(number),
            FIXED: rule.get("value"),
            REFUSED: None,
            IGNORED: 0,
        }[rule["read"]]
        assert read(machine, number) == expected, hex(number)
        assert write(machine, number, 2**64 - 1) == (rule["write"] != REFUSED), hex(number)
    assert machine.msrs == before, "a guest wrote one of the machine's"


@pytest.mark.parametrize("number", [0x2000, 0x40000000, 0xBFFFFFFF, 0xC0002000, 0xC0012000, 0xFFFFFFFF])
def test_msrs_outside_of_the_ranges_are_the_machines_to_read(number: int) -> None:
    machine = RunTime(msr_rules=RULES)
    assert read(machine, number) is None
    machine.msrs[number] = 5
    assert read(machine, number) == 5 and write(machine, number, 9) and machine.msrs[number] == 5


# --- EFER -------------------------------------------------------------------------------------------


def test_efer_hides_svme_and_keeps_it() -> None:
    machine = RunTime(msr_rules=RULES)
    machine.set_vmcb(efer=SVME)
    assert read(machine, EFER) == 0
    assert write(machine, EFER, LME | NXE | SCE)
    assert machine.vmcb("efer") == SVME | LME | NXE | SCE and read(machine, EFER) == LME | NXE | SCE
    assert machine.vmcb("tlb_control") == C["TLB_CONTROL_NOTHING"]  # of the exit after the write
    write(machine, EFER, LME)
    assert machine.vmcb("tlb_control") == C["TLB_CONTROL_ALL"]


@pytest.mark.parametrize("bit", [bit for bit in range(64) if bit not in (0, 8, 10, 11)])
@pytest.mark.parametrize("has", [False, True])
def test_efer_takes_no_bit_that_the_cpu_does_not(bit: int, has: bool) -> None:
    machine = RunTime(msr_rules=RULES)
    machine.cpuid = lambda leaf, subleaf: (0, 0, has << 17, has << 25) if leaf == 0x80000001 else (0, 0, 0, 0)
    machine.set_vmcb(efer=SVME | SCE)
    taken = has and bit in (14, 15)  # FFXSR, TCE
    assert write(machine, EFER, 1 << bit) == taken
    assert machine.vmcb("efer") == (SVME | 1 << bit if taken else SVME | SCE)


def test_efer_keeps_lma_and_lme_while_paging_is_on() -> None:
    machine = RunTime(msr_rules=RULES)
    machine.set_vmcb(efer=SVME | LME | LMA, cr0=1 << 31 | 1)
    assert not write(machine, EFER, LMA | NXE)
    assert write(machine, EFER, LME | NXE) and machine.vmcb("efer") == SVME | LME | LMA | NXE
    machine.set_vmcb(efer=SVME, cr0=1)
    assert write(machine, EFER, LMA) and machine.vmcb("efer") == SVME


# --- APIC base, x2APIC ------------------------------------------------------------------------------


@pytest.mark.parametrize("x2apic", [False, True])
def test_apic_base_is_where_it_is(x2apic: bool) -> None:
    machine = RunTime([Dom((0, 1))], x2apic=x2apic, msr_rules=RULES)
    base = 0xFEE00D00 if x2apic else 0xFEE00900
    for value in (0, 0xFEC00900, 2**64 - 1):
        assert write(machine, APIC_BASE, value) and write(machine, APIC_BASE, value, 1)
        assert read(machine, APIC_BASE) == base and read(machine, APIC_BASE, 1) == base & ~0x100


def test_without_x2apic_its_msrs_are_not_there() -> None:
    machine = RunTime(msr_rules=RULES)
    machine.msrs = dict.fromkeys(range(0x800, 0x900), 0)
    for number in range(0x800, 0x900):
        assert read(machine, number) is None and not write(machine, number, 0x10000), hex(number)


def test_x2apic_lvts_are_filtered_and_nothing_else_is_written() -> None:
    machine = RunTime(x2apic=True, msr_rules=RULES)
    lvts = {0x82F, *range(0x832, 0x838)}
    machine.msrs = dict.fromkeys(range(0x800, 0x840), 0)
    for number in range(0x800, 0x900):
        if number == 0x830:
            continue
        for mode in range(8):
            value = mode << 8 | 0x41
            taken = write(machine, number, value)
            assert taken == (number in lvts), hex(number)
            assert machine.msrs.get(number, 0) == ((value | (1 << 16 if mode else 0)) if taken else 0)
    assert read(machine, 0x832) == machine.msrs[0x832] and read(machine, 0x850) is None
    del machine.msrs[0x833]
    assert not write(machine, 0x833, 0x10000), "the machine has no such LVT"


# --- the clock --------------------------------------------------------------------------------------


def record(machine: RunTime, address: int, names: str) -> list[int]:
    return [machine.field("pvclock_vcpu_time_info", name, address) for name in names.split()]


def test_the_clocks_record_says_how_time_follows_from_the_counter() -> None:
    machine = RunTime(msr_rules=RULES)
    machine.set_variable("clock_start", 0x123456789A)
    machine.set_variable("clock_multiplier", 0xDEADBEEF, 4)
    machine.set_variable("clock_shift", 0xFFFFFFFF, 4)
    assert write(machine, CLOCK, 0x5000 | 1) and read(machine, CLOCK) == 0x5001
    place = BANKS + 0x5000
    names = "version tsc_timestamp system_time tsc_to_system_mul flags"
    assert record(machine, place, names) == [2, 0x123456789A, 0, 0xDEADBEEF, 1]
    assert machine.read(place + C["PVCLOCK_VCPU_TIME_INFO_TSC_SHIFT"], 1) == b"\xff"
    assert write(machine, CLOCK, 0x5001) and record(machine, place, "version") == [4]
    machine.write(place, b"\xee" * 32)
    assert write(machine, CLOCK, 0x5000) and machine.read(place, 32) == b"\xee" * 32, "switched off"


def allowed(address: int, size: int) -> bool:
    """Whether bytes may be written: in the domain's memory, and in one page."""
    return address % 0x1000 + size <= 0x1000 and address + size <= BANK_SIZE


BORDERS = [0, 0x1000, 0xA0000, BANK_SIZE, BANKS, 2**32, 2**40, 2**52, 2**63, 2**64]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(BORDERS), st.integers(-40, 40), st.sampled_from([CLOCK, WALL]))
def test_a_record_is_written_into_the_domains_memory_or_not_at_all(border: int, distance: int, number: int) -> None:
    address = (border + distance) % 2**64
    size = 32 if number == CLOCK else 12
    if number == CLOCK:
        address &= ~1
    WRITTEN.clear()
    taken = write(CLOCK_MACHINE, number, address | (number == CLOCK))
    assert taken == allowed(address, size)
    expected = set(range(BANKS + address, BANKS + address + size)) if taken else set()
    assert expected >= WRITTEN and bool(WRITTEN) == taken


CLOCK_MACHINE = RunTime(msr_rules=RULES)
WRITTEN: set[int] = set()  # addresses of bytes in and around what domains have


def on_write(uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> None:
    WRITTEN.update(range(address, address + size))


CLOCK_MACHINE.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, on_write, None, RINGS, RAM - 1)


def test_a_second_bank_holds_records_too_wherever_it_is() -> None:
    machine = RunTime(msr_rules=RULES)
    second = machine.domain(0) + C["DOMAIN_BANKS"] + C["BANK_SIZEOF"]
    machine.set_number(second + C["BANK_GUEST"], 1 << 32)
    machine.set_number(second + C["BANK_SIZE"], 0x200000)
    machine.set_number(second + C["BANK_MACHINE"], BANKS + BANK_SIZE)
    assert write(machine, CLOCK, 1 << 32 | 0x1001)
    assert record(machine, BANKS + BANK_SIZE + 0x1000, "version") == [2]
    assert not write(machine, CLOCK, 1 << 32 | 0x200001)
    machine.set_number(second + C["BANK_MACHINE"], 5 << 32)
    machine.uc.mem_map(5 << 32, 0x200000)  # which a cpu sees through its window
    assert write(machine, CLOCK, 1 << 32 | 0x1001)
    assert record(machine, 5 << 32 | 0x1000, "version") == [2]
    assert machine.calls.count("open_window") == machine.calls.count("close_window") == 2


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("whole_day", [False, True])
def test_the_wall_clock_is_the_cmos_clocks(binary: bool, whole_day: bool) -> None:
    machine = RunTime(msr_rules=RULES)
    machine.tsc = 77
    moments = [
        datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
        for year, month, day in [
            (2000, 1, 1),
            (2000, 2, 29),
            (2024, 12, 31),
            (2026, 3, 1),
            (2099, 2, 28),
            (2099, 12, 31),
        ]
        for hour, minute, second in [(0, 0, 0), (0, 59, 1), (11, 30, 59), (12, 0, 0), (13, 5, 9), (23, 59, 59)]
    ]
    for moment in moments:
        hour, afternoon = (moment.hour, 0) if whole_day else ((moment.hour + 11) % 12 + 1, moment.hour // 12)
        values = {0: moment.second, 2: moment.minute, 4: hour, 7: moment.day, 8: moment.month, 9: moment.year % 100}
        machine.cmos = {key: value if binary else int(str(value), 16) for key, value in values.items()}
        machine.cmos[4] |= afternoon << 7
        machine.cmos[11] = binary << 2 | whole_day << 1
        machine.call("start_clock")
        seconds = int(moment.timestamp())
        assert machine.variable("clock_start_seconds", 4) == seconds and machine.variable("clock_start") == 77
        assert write(machine, WALL, 0x3FF4)
        assert [machine.number(BANKS + 0x3FF4 + n, 4) for n in (4, 8)] == [seconds, 0]


def test_a_cmos_clock_that_never_settles_is_read_all_the_same() -> None:
    machine = RunTime()
    machine.cmos = {10: 0x80, 8: 1, 7: 1, 11: 2}
    machine.set_number(
        machine.symbols["read_time_of_day"] + 1, 3, 4
    )  # the tries: what is bounded by 2 million takes long
    machine.call("start_clock")
    assert machine.variable("clock_start_seconds", 4) == 946684800
