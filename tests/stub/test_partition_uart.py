"""A domain's virtual UART against a model of a 16550, its lines on the image's console, its ring, and what is typed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_time import RINGS, C, Dom, RunTime
from run_time_model import Uart

COM1 = 0x3F8
ROOM = C["RING_SIZE"] - C["RING_SIZEOF"]
VIRTUAL = {"console_kind": C["CONSOLE_VIRTUAL"], "console_port": COM1}
RING = {"console_kind": C["CONSOLE_RING"], "console_port": COM1}


def out(machine: RunTime, register: int, value: int, domain: int = 0) -> None:
    machine.call("write_port", domain, rdi=COM1 + register, rsi=value)


def inp(machine: RunTime, register: int, domain: int = 0) -> int:
    return machine.call("read_port", domain, rdi=COM1 + register) & 0xFF


def say(machine: RunTime, text: bytes, domain: int = 0) -> None:
    for byte in text:
        out(machine, 0, byte, domain)


def ring(machine: RunTime, domain: int = 0) -> bytes:
    """The text in a ring, from the oldest character on."""
    place = RINGS + domain * C["RING_SIZE"]
    written = machine.number(place)
    text = machine.read(place + C["RING_SIZEOF"], ROOM)
    return text[:written] if written <= ROOM else text[written % ROOM :] + text[: written % ROOM]


accesses = st.lists(
    st.one_of(
        st.tuples(st.just("out"), st.integers(0, 7), st.integers(0, 255)),
        st.tuples(st.just("in"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("type"), st.just(0), st.integers(2, 255)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(accesses)
def test_it_behaves_as_a_16550_that_is_polled(steps: list[tuple[str, int, int]]) -> None:
    machine, model = RunTime([Dom((0,), RING)]), Uart()
    for kind, register, value in steps:
        if kind == "out":
            out(machine, register, value)
            model.write(register, value)
        elif kind == "in":
            assert inp(machine, register) == model.read(register), f"register {register}"
        else:
            machine.set_domain(uart_input=value, uart_has_input=1)
            model.received = value
    text = bytes(model.text).replace(b"\r", b"").replace(b"\0", b"")
    assert ring(machine) == text and machine.serial == b""


def test_linux_finds_a_16550a() -> None:
    """The steps of 8250_port.c: autoconfig, and the test for the transmitter's interrupt."""
    machine = RunTime([Dom((0,), VIRTUAL)])
    out(machine, 1, 0)
    assert inp(machine, 1) & 0xF == 0
    out(machine, 1, 0xF)
    assert inp(machine, 1) & 0xF == 0xF
    out(machine, 1, 0)
    out(machine, 4, 0x10 | 0x0A)
    assert inp(machine, 6) & 0xF0 == 0x90
    out(machine, 4, 0)
    out(machine, 2, 1)
    assert inp(machine, 2) >> 6 == 3
    out(machine, 1, 2)
    assert inp(machine, 5) & 0x40 and not inp(machine, 2) & 1
    out(machine, 1, 0)
    assert inp(machine, 2) & 1


# --- lines ------------------------------------------------------------------------------------------


def test_lines_of_domains_stay_whole_and_say_whose_they_are() -> None:
    machine = RunTime([Dom((0,), VIRTUAL), Dom((1,), VIRTUAL), Dom((2,), RING)])
    for one, other, third in zip(b"hello\r\n", b"there\r\n", b"quiet\r\n", strict=True):
        out(machine, 0, one, 0)
        out(machine, 0, other, 1)
        out(machine, 0, third, 2)
    assert machine.transcript == "d0: hello\nd1: there\n"
    assert [ring(machine, number) for number in range(3)] == [b"hello\n", b"there\n", b"quiet\n"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 2 * C["LINE_ROOM"] + 3), max_size=4))
def test_a_line_that_is_too_long_becomes_several(lengths: list[int]) -> None:
    machine, room = RunTime([Dom((0,), VIRTUAL)]), C["LINE_ROOM"]
    expected = ""
    for length in lengths:
        text = "".join(chr(33 + n % 90) for n in range(length))
        say(machine, text.encode() + b"\n")
        parts = [text[n : n + room] for n in range(0, length, room)]
        expected += "".join(f"d0: {part}\n" for part in parts)
        expected += "d0: \n" if length % room == 0 else ""
    assert machine.transcript == expected


def test_a_line_of_which_another_cpu_has_just_filled_the_room_is_not_written_over() -> None:
    machine = RunTime([Dom((0,), VIRTUAL)])
    machine.set_domain(line_length=C["LINE_ROOM"], monitor_domain=0x1234)
    out(machine, 0, ord("x"))
    assert machine.of_domain("line_length") == 0 and machine.of_domain("monitor_domain") == 0x1234


def test_a_ring_keeps_the_newest_text() -> None:
    machine = RunTime([Dom((0,), RING)])
    machine.set_number(RINGS, 5 * ROOM - 3)
    machine.write(RINGS + C["RING_SIZEOF"], b"-" * ROOM)
    say(machine, b"abcdef")
    assert ring(machine)[-6:] == b"abcdef" and set(ring(machine)[:-6]) == set(b"-")
    assert machine.number(RINGS + C["RING_SIZE"]) == 0, "wrote behind its end"


# --- input ------------------------------------------------------------------------------------------


def typed(machine: RunTime, domain: int) -> bytes:
    """What a domain reads as long as there is something."""
    text = bytearray()
    while inp(machine, 5, domain) & 1:
        text.append(inp(machine, 0, domain))
    return bytes(text)


def test_what_is_typed_goes_to_one_domain_and_an_escape_changes_which() -> None:
    machine = RunTime([Dom((0,), RING), Dom((1,), VIRTUAL), Dom((2,), VIRTUAL)])
    machine.typed += b"one"
    assert typed(machine, 2) == b"" and typed(machine, 1) == b"one"
    machine.typed += b"\x012two\x01\x01"
    while machine.typed:
        inp(machine, 5, 1)
        assert not machine.of_domain("uart_has_input", 1)
        if machine.of_domain("uart_has_input", 2):
            break
    assert b"".join(typed(machine, 2) for _ in range(3)) == b"two\x01"
    assert machine.transcript == "bootwright: input: d2\n"
    machine.typed += b"\x010\x019\x01xy"  # no console of the image's, no domain, no digit
    assert [typed(machine, 2) for _ in range(8)][-1] == b"" and not machine.typed


def test_a_domain_that_does_not_read_cannot_keep_the_input() -> None:
    machine = RunTime([Dom((0,), VIRTUAL), Dom((1,), VIRTUAL)])
    machine.typed += b"ab\x011"
    for _ in range(4 * C["INPUT_PATIENCE"]):
        inp(machine, 5, 1)
    assert machine.transcript == "bootwright: input: d1\n"


def test_a_uart_that_does_not_empty_holds_nobody_up() -> None:
    machine = RunTime([Dom((0,), VIRTUAL)])
    machine.set_variable("console_lock", 1, 4)
    machine.set_number(machine.symbols["lock_console"] + 1, 5, 4)  # the tries
    say(machine, b"still\n")
    assert machine.transcript == "d0: still\n" and machine.variable("console_lock", 4) == 0


@pytest.mark.parametrize(
    ("kind", "port", "ours"), [("PASSED", 0x3F8, False), ("PASSED", 0x2F8, True), ("VIRTUAL", 0x3F8, True)]
)
def test_a_console_that_is_passed_to_a_domain_is_no_longer_ours(kind: str, port: int, ours: bool) -> None:
    machine = RunTime([Dom((0,), {"console_kind": C[f"CONSOLE_{kind}"], "console_port": port})])
    machine.call("give_console")
    assert machine.variable("console_sinks", 1) == ours * C["CONSOLE_SERIAL"]
