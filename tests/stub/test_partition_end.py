"""The end of a domain and its restart, and the monitor's ports, from which another may ask for both."""

from __future__ import annotations

import pytest
from run_time import BANK_SIZE, RINGS, C, Dom, RunTime

KICK = C["DELIVERY_NMI"] | C["ICR_ASSERT"]
STOP, RESTART = C["REQUEST_STOP"], C["REQUEST_RESTART"]
RESTARTS = {"flags": C["DOMAIN_RESTARTS"], "restart_limit": 3}
MINUTE = 60_000 * 1_000_000  # ticks, at the 1 GHz of the tests
SHUTDOWN = 0x7F


def stop_all(machine: RunTime, vcpus: int) -> None:
    """What the domain's cpus do when they are kicked."""
    for number in range(vcpus):
        machine.call("serve_requests", number)


def test_all_cpus_of_a_domain_are_asked_to_stop_and_none_of_another() -> None:
    machine = RunTime([Dom((1,)), Dom((2, 3, 4)), Dom((5,))])
    machine.set_vcpu(3, state=C["VCPU_ABSENT"])
    machine.exit(SHUTDOWN, 1, rip=0x10)
    assert machine.ipis == [(3, KICK)], "its own is stopped at once, an absent one has no cpu"
    assert [machine.of_vcpu("request", number) for number in range(5)] == [0, 0, STOP, 0, 0]
    assert [machine.of_vcpu("state", number) for number in range(3)] == [
        C[f"VCPU_{n}"] for n in ("RUNS", "STOPPED", "RUNS")
    ]
    assert [machine.of_domain("state", number) for number in range(3)] == [
        C[f"DOMAIN_{n}"] for n in ("RUNS", "ENDED", "RUNS")
    ]
    assert machine.transcript == "bootwright: d1: ended: triple fault at 0x10\n"


def test_a_domain_ends_once() -> None:
    machine = RunTime([Dom((1, 2))])
    machine.exit(SHUTDOWN, 0, rip=0x10)
    machine.exit(0x400, 1, exitinfo2=0x99)
    assert machine.of_domain("end_reason") == C["END_SHUTDOWN"] and machine.serial.count(b"\n") == 1
    assert machine.of_vcpu("state", 1) == C["VCPU_STOPPED"]


def test_a_restart_waits_for_all_cpus_and_loads_the_memory_again() -> None:
    machine = RunTime([Dom((1, 2), RESTARTS)])
    machine.set_domain(line_length=5, uart_lcr=0x80, uart_has_input=1, uart_ier=7)
    machine.exit(SHUTDOWN, 1, rip=0x10)
    assert machine.transcript == "bootwright: d0: ended: triple fault at 0x10; restarted (1 of 3)\n"
    assert machine.of_vcpu("request") == STOP | RESTART
    machine.call("serve_requests")
    assert machine.of_vcpu("request") == RESTART
    machine.call("serve_restart")
    assert machine.calls == ["reach_all", "load_domain", "reach_own", "prepare_vcpus"]
    assert machine.of_vcpu("request") == 0
    assert machine.of_domain("state") == C["DOMAIN_RUNS"] and machine.of_domain("restarts") == 1
    assert [machine.of_domain(f"uart_{name}") for name in ("lcr", "has_input", "ier")] == [0, 0, 0]
    assert machine.of_domain("line_length") == 0


@pytest.mark.parametrize("left", [{"state": C["VCPU_RUNS"]}, {"state": C["VCPU_OFF"], "request": C["REQUEST_INIT"]}])
def test_a_cpu_that_does_not_stop_keeps_its_domain_from_starting(left: dict[str, int]) -> None:
    machine = RunTime([Dom((1, 2), RESTARTS)])
    machine.set_number(machine.symbols["wait_for_vcpus"] + 1, 100, 4)  # the tries
    machine.exit(SHUTDOWN)
    machine.set_vcpu(1, **{"request": 0, **left})
    machine.serial.clear()
    machine.call("serve_restart")
    assert machine.transcript == "bootwright: d0: not restarted: one of its cpus does not stop\n"
    assert not machine.calls and machine.of_domain("state") == C["DOMAIN_FAILED"] and machine.of_vcpu("request") == 0


def test_memory_that_cannot_be_filled_again_keeps_its_domain_from_starting() -> None:
    machine = RunTime([Dom((1,), RESTARTS)])
    machine.fails_to_load = True
    machine.exit(SHUTDOWN)
    machine.serial.clear()
    machine.call("serve_restart")
    assert machine.transcript == "bootwright: d0: not restarted: its memory could not be filled again\n"
    assert machine.calls == ["reach_all", "load_domain", "reach_own"]
    assert machine.of_domain("state") == C["DOMAIN_FAILED"]


def end_and_restart(machine: RunTime) -> bool:
    """A triple fault of a domain of one cpu; whether it runs again."""
    machine.exit(SHUTDOWN)
    machine.call("serve_restart")
    if machine.of_domain("state") == C["DOMAIN_RUNS"]:
        machine.set_vcpu(state=C["VCPU_RUNS"])
    return machine.of_domain("state") == C["DOMAIN_RUNS"]


@pytest.mark.parametrize("limit", [0, 1, 3, 10])
def test_restarts_within_a_minute_are_limited(limit: int) -> None:
    machine = RunTime([Dom((1,), RESTARTS | {"restart_limit": limit})])
    machine.tsc = 10 * MINUTE
    for count in range(limit):
        assert end_and_restart(machine)
        assert machine.transcript.endswith(f"; restarted ({count + 1} of {limit})\n")
        machine.tsc += MINUTE // (limit + 1)
    assert not end_and_restart(machine)
    assert machine.transcript.endswith(f"; not restarted ({limit} of {limit} are used)\n")
    assert machine.of_domain("restarts") == limit


def test_restarts_that_are_minutes_apart_are_not() -> None:
    machine = RunTime([Dom((1,), RESTARTS | {"restart_limit": 1})])
    for count in range(5):
        machine.tsc += MINUTE
        assert end_and_restart(machine), count
    machine.tsc += MINUTE - 1
    assert not end_and_restart(machine)


@pytest.mark.parametrize(
    ("reason", "value", "text"),
    [
        ("SLEEP", 0, "powered off"),
        ("RESET", 0xCF9, "reset by port 0xcf9"),
        ("SHUTDOWN", 0x1234, "triple fault at 0x1234"),
        ("ACCESS", 0xFEC00000, "access to 0xfec00000, which is not its own, at 0x77"),
        ("EXIT", 2**64 - 1, "exit 0xffffffffffffffff, which nothing handles, at 0x77"),
        ("STOPPED", 0, "stopped by the monitor"),
    ],
)
def test_every_end_says_why(reason: str, value: int, text: str) -> None:
    machine = RunTime()
    machine.set_vmcb(rip=0x77)
    machine.call("end_domain", rax=C[f"END_{reason}"], rdx=value)
    assert machine.zero_flag and machine.transcript == f"bootwright: d0: ended: {text}\n"


# --- the cpu ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("x2apic", [False, True])
def test_a_cpu_enters_a_guest_as_after_a_reset(x2apic: bool) -> None:
    machine = RunTime(x2apic=x2apic)
    machine.cpuid = lambda leaf, subleaf: (0, 0, 1 << 26, 0)
    machine.msrs = dict.fromkeys((0x48, 0xDA0, 0xC0000103, 0x1D9), 0x77) | dict.fromkeys(range(0x800, 0x840), 0)
    machine.msrs |= {0x808: 0x20, 0x835: 0x700, 0x838: 1000}
    machine.set_vcpu(stepping=1)
    for name in ("dr0", "dr1", "dr2", "dr3"):
        machine.set_register(name, 0x1234)
    machine.call("reset_cpu")
    assert [machine.msrs[number] for number in (0x48, 0xDA0, 0xC0000103, 0x1D9)] == [0] * 4
    assert [machine.register(name) for name in ("dr0", "dr1", "dr2", "dr3")] == [0] * 4
    assert machine.calls == ["accept_interrupts", "write_xcr 0 0x1"] and machine.of_vcpu("stepping") == 0
    last = (
        {offset: machine.msrs[0x800 + (offset >> 4)] for offset in range(0, 0x400, 16)}
        if x2apic
        else dict(machine.lapic)
    )
    assert all(last[offset] == 1 << 16 for offset in range(0x320, 0x380, 16))
    assert (last[0x380], last[0x80], last[0xF0]) == (0, 0, 0xFF)
    if not x2apic:
        assert (last[0xD0], last[0xE0]) == (0, 2**32 - 1)


def test_interrupts_that_the_last_guest_was_in_are_ended() -> None:
    machine = RunTime()
    machine.set_number(C["LAPIC_ADDRESS"] + 0x150, 1 << 7, 4)
    machine.call("reset_cpu")
    ends = [offset for offset, _ in machine.lapic if offset == 0xB0]
    assert len(ends) == 256, "bounded: this one never goes away"


# --- the monitor ------------------------------------------------------------------------------------

IN, WORD = 1, 1 << 5
CONTROL = {"flags": C["DOMAIN_CONTROL"]}
NONE = 0xFFFF


def outw(machine: RunTime, name: str, value: int) -> None:
    machine.exit(0x7B, exitinfo1=WORD | C[f"PORT_MONITOR_{name}"] << 16, rax=value)


def ask(machine: RunTime, command: str, domain: int = 1, index: int = 0) -> int:
    outw(machine, "DOMAIN", domain)
    outw(machine, "INDEX", index)
    outw(machine, "COMMAND", C[f"MONITOR_{command}"])
    return result(machine)


def result(machine: RunTime) -> int:
    machine.exit(0x7B, exitinfo1=IN | WORD | C["PORT_MONITOR_RESULT"] << 16, rax=0)
    return machine.vmcb("rax")


def control() -> RunTime:
    return RunTime([Dom((1,), CONTROL), Dom((2, 3), {"restarts": 7, "end_reason": 3}), Dom((4,))])


def test_the_monitor_tells_what_there_is() -> None:
    machine = control()
    assert ask(machine, "DOMAINS") == ask(machine, "DOMAINS", NONE) == 3
    assert [ask(machine, name) for name in ("STATE", "REASON", "RESTARTS", "CPUS")] == [C["DOMAIN_RUNS"], 3, 7, 2]
    assert ask(machine, "MEMORY") == BANK_SIZE >> 20
    assert bytes(ask(machine, "NAME", index=index) for index in range(6)) == b"dom1\0\0"
    assert ask(machine, "NAME", index=NONE) == 0
    for number, count in ((1, 0x1234567890ABCDEF), (2, 0x10)):
        machine.set_number(machine.vcpu(number) + C["VCPU_EXITS"] + 8 * C["EXIT_IO"], count)
    parts = [ask(machine, "EXITS", index=C["EXIT_IO"] * 4 + part) for part in range(4)]
    assert sum(part << 16 * place for place, part in enumerate(parts)) == 0x1234567890ABCDFF
    assert ask(machine, "EXITS", index=C["EXIT_KINDS"] * 4) == NONE


def test_the_monitors_registers_can_be_written_and_read_by_the_byte() -> None:
    """As /dev/port does it."""
    machine, byte = control(), 1 << 4

    def put(port: int, value: int) -> None:
        machine.exit(0x7B, exitinfo1=byte | port << 16, rax=0xAABBCC00 | value)

    def get(port: int) -> int:
        machine.exit(0x7B, exitinfo1=IN | byte | port << 16, rax=0)
        return machine.vmcb("rax")

    machine.set_number(machine.vcpu(1) + C["VCPU_EXITS"] + 8 * C["EXIT_OTHER"], 0x1234 << 32)
    put(C["PORT_MONITOR_DOMAIN"], 1)
    put(C["PORT_MONITOR_INDEX"], C["EXIT_OTHER"] * 4 + 2)
    put(C["PORT_MONITOR_INDEX"] + 1, 0)
    put(C["PORT_MONITOR_COMMAND"], C["MONITOR_EXITS"])
    assert [get(C["PORT_MONITOR_RESULT"] + n) for n in (0, 1)] == [0x34, 0x12]
    put(C["PORT_MONITOR_COMMAND"] + 1, C["MONITOR_STOP"])
    put(C["PORT_MONITOR_RESULT"], 0)
    assert [get(port) for port in range(C["PORT_MONITOR"], C["PORT_MONITOR"] + 8)] == [0xFF] * 6 + [0x34, 0x12]
    assert machine.of_domain("state", 1) == C["DOMAIN_RUNS"]
    put(C["PORT_MONITOR_INDEX"] + 1, 1)
    put(C["PORT_MONITOR_COMMAND"], C["MONITOR_EXITS"])
    assert get(C["PORT_MONITOR_RESULT"]) == 0xFF


@pytest.mark.parametrize("domain", [3, 64, NONE])
def test_a_domain_that_is_not_there_has_no_answers(domain: int) -> None:
    machine = control()
    for command in range(2, 13):
        outw(machine, "DOMAIN", domain)
        outw(machine, "COMMAND", command)
        assert result(machine) == NONE, command


def test_no_other_command_does_anything() -> None:
    machine = control()
    for command in [0, *range(13, 256), 0x100, 0xFF00]:
        outw(machine, "DOMAIN", 1)
        outw(machine, "COMMAND", command)
        assert result(machine) == NONE
    assert not machine.ipis and machine.of_domain("state", 1) == C["DOMAIN_RUNS"]


def test_without_the_permission_there_is_no_monitor() -> None:
    machine = RunTime([Dom((1,)), Dom((2,))])
    assert ask(machine, "DOMAINS") == ask(machine, "STOP") == NONE
    assert machine.of_domain("state", 1) == C["DOMAIN_RUNS"] and not machine.ipis


def test_the_monitor_stops_and_restarts() -> None:
    machine = control()
    assert ask(machine, "STOP") == 0 and ask(machine, "STOP") == NONE
    assert machine.of_domain("state", 1) == C["DOMAIN_ENDED"] and machine.of_domain("end_reason", 1) == C["END_STOPPED"]
    assert machine.ipis == [(2, KICK), (3, KICK)]
    stop_all(machine, 3)
    assert ask(machine, "RESTART") == 0 and machine.of_vcpu("request", 1) == RESTART
    machine.call("serve_restart", 1)
    assert machine.of_domain("state", 1) == C["DOMAIN_RUNS"] and machine.of_domain("restarts", 1) == 8
    assert machine.transcript == "bootwright: d1: ended: stopped by the monitor\n"
    machine.set_vcpu(1, state=C["VCPU_RUNS"])
    assert ask(machine, "RESTART") == 0, "one that runs is stopped first"
    assert machine.transcript.endswith("bootwright: d1: ended: restarted by the monitor\n")
    assert machine.of_domain("end_reason", 1) == C["END_RESTARTED"]
    assert machine.of_vcpu("request", 1) == STOP | RESTART and machine.of_vcpu("request", 2) == STOP
    machine.set_domain(1, state=C["DOMAIN_FAILED"])
    assert ask(machine, "RESTART") == NONE
    assert machine.of_domain("state", 0) == machine.of_domain("state", 2) == C["DOMAIN_RUNS"]


def test_a_control_domain_may_stop_itself() -> None:
    machine = control()
    outw(machine, "DOMAIN", 0)
    outw(machine, "COMMAND", C["MONITOR_RESTART"])
    assert machine.of_vcpu("state") == C["VCPU_STOPPED"] and machine.of_vcpu("request") == RESTART


def test_the_monitor_reads_a_ring_from_its_oldest_character() -> None:
    machine = control()
    room = C["RING_SIZE"] - C["RING_SIZEOF"]
    ring = RINGS + C["RING_SIZE"]
    machine.write(ring + C["RING_SIZEOF"], b"hello\n")
    machine.set_number(ring, 6)
    ask(machine, "REWIND")
    assert bytes(ask(machine, "TEXT") for _ in range(8)) == b"hello\n\0\0"
    text = bytes(33 + n % 90 for n in range(room))
    machine.write(ring + C["RING_SIZEOF"], text)
    machine.set_number(ring, 3 * room + 2)
    assert bytes(ask(machine, "TEXT") for _ in range(4)) == text[2:6], "what it had not read is lost"
    machine.set_number(ring, 3 * room + 4)
    assert ask(machine, "TEXT") == text[6]
