"""The tables: there and back, the same every time, nothing wrong accepted."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common import abi
from bootwright.common.errors import VerifyError
from bootwright.common.pieces import Piece
from bootwright.common.ranges import Relocation
from bootwright.hyperlaunch.model import BootDomain, MemorySize
from bootwright.kernels.sections import Sections
from bootwright.plan import tables
from bootwright.plan.make import Plan, PlannedDomain, PlannedHypervisor, PlannedImage, PlannedModule

C = abi.load().constants
u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
words = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20)
maybe = st.one_of(st.none(), st.integers(0, 62))
sizes = st.builds(MemorySize, st.integers(0, 2), u64)
domains = st.builds(
    PlannedDomain,
    st.builds(BootDomain, name=words, permissions=u32, functions=u32, mode=u32, domid=u16, mem_size=sizes,
              mem_min=sizes, mem_max=sizes, uuid=st.binary(min_size=16, max_size=16), ncpus=u32,
              security_id=st.text("abc:é", max_size=30), kernel=maybe, ramdisk=maybe,
              configs=st.tuples(maybe, maybe), constructed=st.just(False)),
    u32,
    u64,
)  # fmt: skip
modules = st.builds(
    PlannedModule, name=words, kind=u32, flags=u32, string=st.one_of(st.just(""), words), load_address=u64,
    size=u64, unpacked_size=u64, start=u64, sha256=st.binary(min_size=32, max_size=32),
    pieces=st.lists(st.builds(Piece, *[u64] * 5, u32, u32), max_size=3).map(tuple), payload=st.none(),
    movable=st.one_of(st.none(), st.builds(Relocation, st.integers(1, (1 << 32) - 1), u32, u32)),
    sections=st.one_of(
        st.none(), st.builds(Sections, st.just(3), st.just(40), u32, st.binary(min_size=120, max_size=120))
    ),
)  # fmt: skip
images = st.builds(PlannedImage, words, u32, u16, u16, u32, u32, u32)
plans = st.builds(
    Plan, images, st.lists(domains, max_size=3).map(tuple), st.lists(modules, max_size=3).map(tuple),
    st.one_of(st.none(), st.builds(PlannedHypervisor, st.integers(0, 62), u32, words, u32, u32)),
)  # fmt: skip
PLAN = Plan(
    PlannedImage("lab", 3, 0x3F8, 1, 1, 0, 0),
    (PlannedDomain(BootDomain("dom0", 3, 1 << 31, 4, 0, *[MemorySize(0, 1)] * 3, kernel=0), 1, 0x400000),),
    (PlannedModule("k", 3, 3, "quiet", 0x200000, 5, 9, 0, bytes(32), (Piece(0, 5, 0x400000, 9, 7, 1),)),),
)


@given(plans)
@settings(max_examples=60, deadline=None)
def test_there_and_back(plan: Plan) -> None:
    blob = tables.encode(plan)
    assert tables.decode(blob) == plan
    assert blob == tables.encode(plan)


def test_layout() -> None:
    """As stub/abi/tables.h says: magic first, arrays 8-byte aligned, a zero at the end."""
    blob = tables.encode(PLAN)
    head = abi.load().struct("tables")(blob)
    assert head.magic == C["TABLES_MAGIC_VALUE"] and blob.startswith(b"BWTABLES")
    assert head.length == len(blob) and blob[-1] == 0
    assert all(start % 8 == 0 for start in (head.domains, head.modules, head.pieces))
    assert head.domains == C["TABLES_SIZEOF"] + -C["TABLES_SIZEOF"] % 8
    assert blob[head.name :].startswith(b"lab\0")
    at = C["TABLES_CHECKSUM"]
    assert zlib.crc32(blob[:at] + bytes(4) + blob[at + 4 :]) == head.checksum
    domain = abi.load().struct("boot_domain")(blob[head.domains :])
    assert domain.ramdisk == C["NO_MODULE"] and domain.kernel == 0


def test_a_string_is_there_once() -> None:
    module = replace(PLAN.modules[0], name="lab", string="lab")
    assert tables.encode(replace(PLAN, modules=(module, module))).count(b"lab\0") == 1


def change(offset: int, data: bytes, *, sum_up: bool = True) -> bytes:
    """The tables of PLAN with other bytes at `offset`, with a right checksum if wanted."""
    blob = bytearray(tables.encode(PLAN))
    blob[offset : offset + len(data)] = data
    if sum_up:
        at = C["TABLES_CHECKSUM"]
        blob[at : at + 4] = bytes(4)
        blob[at : at + 4] = zlib.crc32(blob).to_bytes(4, "little")
    return bytes(blob)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"BWTABLES", "tables: 8 bytes are too few"),
        (change(0, b"X"), "tables: magic is 0x53454c4241545758, not 0x53454c4241545742"),
        (change(C["TABLES_VERSION"], b"\x09"), f"tables: version is 0x9, not {C['TABLES_VERSION_VALUE']:#x}"),
        (tables.encode(PLAN)[:-1], "tables: length is "),
        (change(C["TABLES_CONSOLE"], b"\x01", sum_up=False), "tables: the checksum "),
        (change(C["TABLES_NR_DOMAINS"], b"\x40"), "tables: 64 records of boot_domain "),
        (change(C["TABLES_NAME"], b"\xff\xff"), "tables: the string at 0xffff ends past "),
        (change(C["TABLES_NR_PIECES"], b"\0"), "tables: pieces [0x0, 0x1) of 0x0"),
    ],
)
def test_what_is_no_tables(blob: bytes, message: str) -> None:
    with pytest.raises(VerifyError) as caught:
        tables.decode(blob)
    assert str(caught.value).startswith(message)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4), st.booleans())
@settings(max_examples=150, deadline=None)
def test_damage_is_refused_or_read(offset: int, data: bytes, sum_up: bool) -> None:
    blob = change(offset % len(tables.encode(PLAN)), data, sum_up=sum_up)[: len(tables.encode(PLAN))]
    try:
        tables.decode(blob)
    except VerifyError as error:
        assert "\n" not in str(error)


def test_what_is_handed_to_a_domain() -> None:
    """Each module record says to which one, whatever else refers to it."""
    module = replace(PLAN.modules[0], pieces=())
    first, second = (replace(PLAN.domains[0].domain, name=name, handed=h) for name, h in (("a", (1, 3)), ("b", (2,))))
    domains = tuple(PlannedDomain(domain, 0, 0) for domain in (first, second))
    blob = tables.encode(replace(PLAN, domains=domains, modules=(PLAN.modules[0], module, module, module)))
    assert [planned.domain.handed for planned in tables.decode(blob).domains] == [(1, 3), (2,)]
