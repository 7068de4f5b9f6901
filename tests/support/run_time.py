"""The resident part's run time under Unicorn: its handlers are routines on a vcpu, its VMCB and its domain.

All of stub/partition that handles exits is linked as it is, but for loop.asm, which holds SVM's own instructions, and
for what the boot provides; routines of that kind are a `ret` here, and do in Python what they do on a machine.
"""

from __future__ import annotations

import functools
import io
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import unicorn
from elftools.elf.elffile import ELFFile
from project import ROOT
from unicorn import x86_const as x86

from bootwright.asm import assemble
from bootwright.common import abi
from bootwright.link import linker
from bootwright.link.layout import Layout, LayoutSection, LayoutSegment
from bootwright.link.linked import Linked

ABI = abi.load()
C = ABI.constants

FILES = (
    "partition/exits",
    "partition/requests",
    "partition/cpuid",
    "partition/msr",
    "partition/clock",
    "partition/time_of_day",
    "partition/ports",
    "partition/uart",
    "partition/lapic",
    "partition/ipi",
    "partition/end",
    "partition/lines",
    "partition/monitor",
    "partition/reset",
    "lib/console",
)
# What other files provide: routines that a test carries out, and variables of the boot.
PROVIDED = """
.global take_nmi, accept_interrupts, read_msr, write_msr, send_ipi, load_domain, prepare_vcpus, reset_vcpu
.global open_window, close_window, reach_own, reach_all
.global x2apic, tsc_khz, clock_multiplier, clock_shift, idt_pointer, sweep_ports
.section .text
start:
take_nmi: ret
accept_interrupts: ret
read_msr: ret
write_msr: ret
send_ipi: ret
load_domain: ret
prepare_vcpus: ret
reset_vcpu: ret
open_window: ret
close_window: ret
reach_own: ret
reach_all: ret

; exit_io for every port: in rdi = EXITINFO1 of port 0, rsi = RAX, rdx = 65536 words for RAX then; rbp, rbx, r12
sweep_ports:
        push rdi
        push rsi
        push rdx
        push 0
.next:
        mov  rax, qword ptr [rsp]
        shl  rax, IOIO_PORT_SHIFT
        or   rax, qword ptr [rsp + 24]
        mov  qword ptr [rbx + VMCB_EXITINFO1], rax
        mov  rax, qword ptr [rsp + 16]
        mov  qword ptr [rbx + VMCB_RAX], rax
        call exit_io
        mov  rcx, qword ptr [rsp]
        mov  rdx, qword ptr [rsp + 8]
        mov  rax, qword ptr [rbx + VMCB_RAX]
        mov  qword ptr [rdx + rcx * 8], rax
        inc  qword ptr [rsp]
        cmp  qword ptr [rsp], 0x10000
        jb   .next
        add  rsp, 32
        ret
.section .data
.align 8
tsc_khz:                .quad 1000000
x2apic:                 .long 0
clock_multiplier:       .long 0
clock_shift:            .long 0
idt_pointer:            .space 10
"""
LAYOUT = Layout(
    path="run_time.toml",
    base=C["IMAGE_LIMIT"],
    entry="start",
    strings=".rodata",
    segments=(
        LayoutSegment(
            "code",
            "rx",
            (
                LayoutSection(".text", 16, "code"),
                LayoutSection(".rodata", 16),
                LayoutSection(".fixups", 8),
                LayoutSection(".boot", 16, "code"),
                LayoutSection(".note.gnu.build-id", 4, "build-id"),
            ),
        ),
        LayoutSegment("data", "rw", (LayoutSection(".data", 16), LayoutSection(".bss", 4096, "nobits"))),
    ),
)

# What a cpu reaches is not looked at: guest memory lies at its machine addresses.
REACH = ("reach_own", "reach_all", "open_window", "close_window")
RAM = 64 << 20
RETURN = 0x9000
PAGE = C["PAGE_SIZE"]
BASE = C["PARTITION_BASE"]
DOMAINS = BASE + PAGE
RULES = BASE + 0x10000
VCPUS = BASE + 0x20000
VMCBS = BASE + 0x80000
SCRATCH = BASE + 0xC0000
LAPIC_ENTRIES = BASE + 0x100000
RESET_VMCB = BASE + 0x101000
NAMES = BASE + 0x102000
RINGS = 0x500000
BANKS = 0x1000000
BANK_SIZE = 0x400000
RESULTS = 0x3000000


@functools.cache
def run_time() -> Linked:
    """The run time, linked once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        provided = Path(folder) / "provided.asm"
        provided.write_text(PROVIDED + "\n.global start\n")
        objects = [assemble.assemble(provided)]
    return linker.link([*objects, *(assemble.assemble(ROOT / f"stub/{name}.asm") for name in FILES)], LAYOUT)


@dataclass
class Dom:
    """A domain of a test. ids: the APIC ids of its cpus."""

    ids: Sequence[int] = (0,)
    fields: dict[str, Any] = field(default_factory=dict)


class RunTime:
    """A machine with domains that run, and the run time in it.

    msrs: those that the machine has, by number; a write of one that is not there is refused, as a read is.
    ipis: what was sent: (APIC id, lower half of the ICR). lapic: writes of the local APIC's page, (offset, value).
    """

    def __init__(
        self,
        domains: Sequence[Dom] = (Dom(),),
        x2apic: bool = False,
        cpuid_rules: Sequence[dict[str, int]] = (),
        msr_rules: Sequence[dict[str, int]] = (),
    ) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.uc.mem_map(0, RAM)
        self.uc.mem_map(C["LAPIC_ADDRESS"], PAGE)
        self.symbols = run_time().symbols
        for segment in ELFFile(io.BytesIO(run_time().image)).iter_segments("PT_LOAD"):
            self.uc.mem_write(segment["p_paddr"], segment.data())
        self.uc.mem_write(RETURN, b"\xf4")
        self.msrs: dict[int, int] = {}
        self.ipis: list[tuple[int, int]] = []
        self.lapic: list[tuple[int, int]] = []
        self.calls: list[str] = []
        self.serial = bytearray()
        self.typed = bytearray()
        self.tsc = 0
        self.fails_to_load = False
        self.cpuid: Callable[[int, int], tuple[int, int, int, int]] = lambda leaf, subleaf: (0, 0, 0, 0)
        self.cmos: dict[int, int] = {}
        self._cmos_index = 0
        self.domains = list(domains)
        self._put_partition(cpuid_rules, msr_rules)
        self.set_variable("x2apic", int(x2apic), 4)
        self.set_variable("console_sinks", C["CONSOLE_SERIAL"], 1)
        for name in (
            "take_nmi",
            "accept_interrupts",
            "load_domain",
            "prepare_vcpus",
            "reset_vcpu",
            "write_xcr",
            *REACH,
        ):
            self._provide(name, functools.partial(self._on_call, name))
        self._provide("read_msr", self._read_msr)
        self._provide("write_msr", self._write_msr)
        self._provide("send_ipi", lambda: self.ipis.append((self.register("edi"), self.register("esi"))))
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
        apic = C["LAPIC_ADDRESS"]
        self.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._on_lapic, None, apic, apic + PAGE - 1)
        for name in ("may_restart", "start_clock"):
            self._hook_rdtsc(name)

    # --- what the host and the boot have made ---

    def _put_partition(self, cpuid_rules: Sequence[dict[str, int]], msr_rules: Sequence[dict[str, int]]) -> None:
        rules = b"".join(ABI.struct("cpuid_rule")(**rule).dumps() for rule in cpuid_rules)
        msr_rules_at = RULES + len(rules)
        rules += b"".join(ABI.struct("msr_rule")(**rule).dumps() for rule in msr_rules)
        self.write(RULES, rules)
        number = 0
        for index, domain in enumerate(self.domains):
            name = NAMES + index * C["MAX_NAME"]
            self.write(name, f"dom{index}".encode() + b"\0")
            values: dict[str, Any] = {
                "name": name,
                "domid": index,
                "first_vcpu": number,
                "nr_vcpus": len(domain.ids),
                "banks": [
                    ABI.struct("bank")(guest=0, size=BANK_SIZE, machine=BANKS + index * BANK_SIZE),
                    ABI.struct("bank")(guest=0, size=0, machine=0),
                ],
                "ring": RINGS + index * C["RING_SIZE"],
                "state": C["DOMAIN_RUNS"],
            }
            record = ABI.struct("domain")(**(values | domain.fields))
            self.write(self.domain(index), record.dumps())
            for count, apic_id in enumerate(domain.ids):
                self._put_vcpu(number, index, count, apic_id)
                number += 1
        self.write(
            BASE,
            ABI.struct("partition")(
                magic=C["PARTITION_MAGIC_VALUE"],
                nr_domains=len(self.domains),
                domains=DOMAINS,
                nr_vcpus=number,
                vcpus=VCPUS,
                nr_cpuid_rules=len(cpuid_rules),
                cpuid_rules=RULES,
                nr_msr_rules=len(msr_rules),
                msr_rules=msr_rules_at,
                reset_vmcb=RESET_VMCB,
            ).dumps(),
        )

    def _put_vcpu(self, number: int, domain: int, count: int, apic_id: int) -> None:
        record = ABI.struct("vcpu")(
            vmcb=VMCBS + number * PAGE,
            scratch=SCRATCH + number * PAGE,
            lapic_entry=LAPIC_ENTRIES + number * 8,
            domain=self.domain(domain),
            number=count,
            apic_id=apic_id,
            state=C["VCPU_RUNS"],
            dfr=C["DFR_FLAT"],
        )
        self.write(self.vcpu(number), record.dumps())
        self.write(VMCBS + number * PAGE, ABI.struct("vmcb")(cr0=C["CR0_PE"], rflags=2).dumps())

    def domain(self, index: int) -> int:
        """Address of a struct domain."""
        return DOMAINS + index * C["DOMAIN_SIZEOF"]

    def vcpu(self, number: int) -> int:
        """Address of a struct vcpu."""
        return VCPUS + number * PAGE

    # --- memory and registers ---

    def write(self, address: int, data: bytes) -> None:
        self.uc.mem_write(address, bytes(data))

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.uc.mem_read(address, size))

    def number(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self.read(address, size), "little")

    def set_number(self, address: int, value: int, size: int = 8) -> None:
        self.write(address, (value & (1 << size * 8) - 1).to_bytes(size, "little"))

    def variable(self, name: str, size: int = 8) -> int:
        return self.number(self.symbols[name], size)

    def set_variable(self, name: str, value: int, size: int = 8) -> None:
        self.set_number(self.symbols[name], value, size)

    def register(self, name: str) -> int:
        return int(self.uc.reg_read(getattr(x86, f"UC_X86_REG_{name.upper()}")))

    def set_register(self, name: str, value: int) -> None:
        self.uc.reg_write(getattr(x86, f"UC_X86_REG_{name.upper()}"), value)

    def field(self, record: str, name: str, address: int) -> int:
        """An integer field of a record."""
        offset, size = layout_of(record)[name]
        return self.number(address + offset, size)

    def set_field(self, record: str, name: str, address: int, value: int) -> None:
        offset, size = layout_of(record)[name]
        self.set_number(address + offset, value, size)

    def vmcb(self, name: str, vcpu: int = 0) -> int:
        return self.field("vmcb", name, VMCBS + vcpu * PAGE)

    def set_vmcb(self, vcpu: int = 0, **values: int) -> None:
        for name, value in values.items():
            self.set_field("vmcb", name, VMCBS + vcpu * PAGE, value)

    def of_vcpu(self, name: str, vcpu: int = 0) -> int:
        return self.field("vcpu", name, self.vcpu(vcpu))

    def set_vcpu(self, vcpu: int = 0, **values: int) -> None:
        for name, value in values.items():
            self.set_field("vcpu", name, self.vcpu(vcpu), value)

    def of_domain(self, name: str, index: int = 0) -> int:
        return self.field("domain", name, self.domain(index))

    def set_domain(self, index: int = 0, **values: int) -> None:
        for name, value in values.items():
            self.set_field("domain", name, self.domain(index), value)

    def exits(self, kind: str, vcpu: int = 0) -> int:
        """How many exits of a kind were counted."""
        return self.number(self.vcpu(vcpu) + C["VCPU_EXITS"] + 8 * C[f"EXIT_{kind}"])

    @property
    def transcript(self) -> str:
        return self.serial.decode("latin-1").replace("\r\n", "\n")

    # --- running ---

    def call(
        self,
        routine: str,
        vcpu: int = 0,
        domain: int | None = None,
        limit: int = 5_000_000,
        saved: bool = True,
        **registers: int,
    ) -> int:
        """Calls a routine as the loop does; returns RAX. More than `limit` instructions are a failure. saved: whether
        it must leave what handlers leave."""
        stack = self.vcpu(vcpu) + C["VCPU_STACK_SIZE"] - 8
        at = self.field("vcpu", "domain", self.vcpu(vcpu)) if domain is None else self.domain(domain)
        kept = {"rbp": self.vcpu(vcpu), "rbx": VMCBS + vcpu * PAGE, "r12": at}
        for name, value in (kept | registers).items():
            self.set_register(name, value)
        self.write(stack, struct.pack("<Q", RETURN))
        self.set_register("rsp", stack)
        self.uc.emu_start(self.symbols[routine], RETURN, count=limit)
        assert self.register("rip") == RETURN, f"no end after {limit} instructions, at {self.register('rip'):#x}"
        assert self.register("rsp") == stack + 8
        assert not saved or {name: self.register(name) for name in kept} == kept, f"{routine} must leave rbp, rbx, r12"
        return self.register("rax")

    def exit(self, code: int, vcpu: int = 0, **vmcb: int) -> None:
        """An exit of a vcpu: its code, and fields of its VMCB that come with it."""
        self.set_vmcb(vcpu, **({"exitcode": code, "exitintinfo": 0} | vmcb))
        self.call("handle_exit", vcpu)

    @property
    def zero_flag(self) -> bool:
        return bool(self.register("eflags") >> 6 & 1)

    def _provide(self, name: str, action: Callable[[], object]) -> None:
        address = self.symbols[name]
        self.uc.hook_add(unicorn.UC_HOOK_CODE, lambda *_: action(), None, address, address)

    def _on_call(self, name: str) -> None:
        self.calls.append(name)
        if name == "write_xcr":  # not a ret: what it would do is done here
            value = self.register("edx") << 32 | self.register("eax")
            self.calls[-1] = f"write_xcr {self.register('ecx')} {value:#x}"
            self._set_carry(self.register("ecx") != 0 or not value & C["XCR0_X87"])
            stack = self.register("rsp")
            self.set_register("rsp", stack + 8)
            self.set_register("rip", self.number(stack))
        elif name == "load_domain":
            self.set_register("rax", int(self.fails_to_load))

    def _set_carry(self, value: bool) -> None:
        self.set_register("eflags", self.register("eflags") & ~1 | int(value))

    def _read_msr(self) -> None:
        value = self.msrs.get(self.register("ecx"))
        self.set_register("rax", (value or 0) & 0xFFFFFFFF)
        self.set_register("rdx", (value or 0) >> 32)
        self._set_carry(value is None)

    def _write_msr(self) -> None:
        number = self.register("ecx")
        self._set_carry(number not in self.msrs)
        if number in self.msrs:
            self.msrs[number] = self.register("edx") << 32 | self.register("eax")

    def _on_cpuid(self, uc: unicorn.Uc, data: object) -> bool:
        answer = self.cpuid(self.register("eax"), self.register("ecx"))
        for name, value in zip(("rax", "rbx", "rcx", "rdx"), answer, strict=True):
            self.set_register(name, value)
        return True

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, data: object) -> int:
        if port == C["PORT_CMOS_DATA"]:
            return self.cmos.get(self._cmos_index, 0)
        if port == C["UART_COM1"] + C["UART_LSR"]:
            return C["UART_LSR_THRE"] | bool(self.typed)
        if port == C["UART_COM1"]:
            return self.typed.pop(0)
        return 0xFF

    def _on_out(self, uc: unicorn.Uc, port: int, size: int, value: int, data: object) -> None:
        if port == C["UART_COM1"]:
            self.serial.append(value)
        elif port == C["PORT_CMOS_INDEX"]:
            self._cmos_index = value
        else:
            raise AssertionError(f"port {port:#x} is written: {value:#x}")

    def _on_lapic(self, uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        self.lapic.append((address - C["LAPIC_ADDRESS"], value & 0xFFFFFFFF))

    def _hook_rdtsc(self, routine: str) -> None:
        start = self.symbols[routine]
        code = self.read(start, 0x40)
        behind = start + code.index(b"\x0f\x31") + 2

        def answer(*_: object) -> None:
            self.set_register("rax", self.tsc & 0xFFFFFFFF)
            self.set_register("rdx", self.tsc >> 32)

        self.uc.hook_add(unicorn.UC_HOOK_CODE, answer, None, behind, behind)


@functools.cache
def layout_of(record: str) -> dict[str, tuple[int, int]]:
    """Offset and size in bytes of every integer field of a record."""
    fields: dict[str, tuple[int, int]] = {}
    place = 0
    for name, item in ABI.struct(record).fields.items():
        size = len(item.type)
        fields[name] = place, size
        place += size
    return fields
