"""Twins of the resident part's handlers, in Python: written from the manuals and from what docs/partition.md promises.

Each says what a guest must see, or what must be sent, without knowing how the handler does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

CPUID_NAMES = ("eax", "ebx", "ecx", "edx")
Registers = tuple[int, int, int, int]


def guest_cpuid(
    machine: Callable[[int, int], Registers],
    rules: Sequence[Mapping[str, int]],
    leaf: int,
    subleaf: int,
    cr4: int,
    x2apic: bool,
) -> Registers:
    """EAX, EBX, ECX, EDX as a guest gets them. rules: fields of struct cpuid_rule; the first that fits counts."""
    if leaf >> 28 == 4:  # a hypervisor's
        return {
            0x40000000: (0x40000001, *(int.from_bytes(b"KVMKVMKVM\0\0\0"[n : n + 4], "little") for n in (0, 4, 8))),
            0x40000001: (1 << 3 | 1 << 1 | 1 << 24, 0, 0, 0),
        }.get(leaf, (0, 0, 0, 0))  # type: ignore[return-value]
    found = dict(zip(CPUID_NAMES, machine(leaf, subleaf), strict=True))
    for rule in rules:
        if rule["leaf"] == leaf and rule["subleaf"] in (subleaf, 0xFFFFFFFF):
            found = {
                name: value & rule.get(f"and_{name}", 0) | rule.get(f"or_{name}", 0) for name, value in found.items()
            }
            break
    if leaf == 1:
        found["ecx"] = found["ecx"] & ~(1 << 27) | (cr4 >> 18 & 1) << 27
        if not x2apic:
            found["ecx"] &= ~(1 << 21)
    if (leaf, subleaf) == (7, 0):
        found["ecx"] = found["ecx"] & ~(1 << 4) | (cr4 >> 22 & 1) << 4
    return found["eax"], found["ebx"], found["ecx"], found["edx"]


# --- interprocessor interrupts ----------------------------------------------------------------------


@dataclass(frozen=True)
class Cpu:
    """A cpu of the domain that sends, or another one's. ldr, dfr: of xAPIC."""

    apic_id: int
    ldr: int = 0
    dfr: int = 0xFFFFFFFF
    runs: bool = True
    absent: bool = False


@dataclass
class Sent:
    """What comes of a write to the ICR: vectors by APIC id, and requests by number of the cpu."""

    vectors: list[tuple[int, int]] = field(default_factory=list)
    inits: list[int] = field(default_factory=list)
    starts: list[tuple[int, int]] = field(default_factory=list)
    dropped: bool = False


def send(cpus: Sequence[Cpu], sender: int, low: int, destination: int, x2apic: bool) -> Sent:
    """The effect within a domain of these cpus. Intel SDM volume 3, 11.6: delivery modes, shorthands, destinations."""
    mode, shorthand = low >> 8 & 7, low >> 18 & 3
    if mode not in (0, 1, 5, 6):
        return Sent(dropped=True)
    if mode == 5 and low >> 14 & 3 == 2:  # INIT, level triggered, de-asserted
        return Sent()
    meant = [
        number
        for number, cpu in enumerate(cpus)
        if {
            1: number == sender,
            2: True,
            3: number != sender,
            0: is_meant(cpu, bool(low >> 11 & 1), destination, x2apic),
        }[shorthand]
    ]
    sent = Sent()
    for number in meant:
        cpu = cpus[number]
        if cpu.absent:
            continue
        if mode == 5:
            sent.inits.append(number)
        elif mode == 6:
            sent.starts.append((number, low & 0xFF))
        elif cpu.runs and not (mode == 1 and sent.vectors):
            sent.vectors.append((cpu.apic_id, low & 0xFF))
    return sent


def is_meant(cpu: Cpu, logical: bool, destination: int, x2apic: bool) -> bool:
    """Whether a destination without a shorthand means this cpu."""
    if x2apic:
        if destination == 0xFFFFFFFF:
            return True
        ldr = cpu.apic_id >> 4 << 16 | 1 << (cpu.apic_id & 15)
        same = destination >> 16 == ldr >> 16 and destination & ldr & 0xFFFF != 0
        return same if logical else destination == cpu.apic_id
    if not logical:
        return destination in (0xFF, cpu.apic_id & 0xFF)
    ldr = cpu.ldr >> 24
    if cpu.dfr >> 28 == 0xF:
        return destination & ldr != 0
    return destination >> 4 in (0xF, ldr >> 4) and destination & ldr & 0xF != 0


# --- the virtual UART -------------------------------------------------------------------------------


class Uart:
    """A 16550 without interrupts whose transmitter is always empty. text: what it has sent."""

    def __init__(self) -> None:
        self.ier = self.lcr = self.mcr = self.fcr = self.scratch = 0
        self.divisor = [0, 0]
        self.received: int | None = None
        self.text = bytearray()

    def write(self, register: int, value: int) -> None:
        if self.lcr & 0x80 and register < 2:
            self.divisor[register] = value
        elif register == 0:
            if self.mcr & 0x10:
                self.received = value
            else:
                self.text.append(value)
        elif register == 1:
            self.ier = value & 0xF
        elif register == 2:
            self.fcr = value
            if value & 2:
                self.received = None
        elif register == 3:
            self.lcr = value
        elif register == 4:
            self.mcr = value & 0x1F
        elif register == 7:
            self.scratch = value

    def read(self, register: int) -> int:
        if self.lcr & 0x80 and register < 2:
            return self.divisor[register]
        if register == 0:
            value, self.received = self.received, None
            return value or 0
        if register == 2:
            pending = 1
            if self.ier & 2:
                pending = 2
            if self.ier & 1 and self.received is not None:
                pending = 4
            return pending | (0xC0 if self.fcr & 1 else 0)
        if register == 5:
            return 0x60 | (self.received is not None)
        if register == 6:
            if not self.mcr & 0x10:
                return 0xB0
            dtr, rts, out1, out2 = (self.mcr >> bit & 1 for bit in range(4))
            return rts << 4 | dtr << 5 | out1 << 6 | out2 << 7
        return {1: self.ier, 3: self.lcr, 4: self.mcr, 7: self.scratch}[register]
