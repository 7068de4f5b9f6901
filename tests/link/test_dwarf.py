"""dwarf: lines and records in the linked file, read by pyelftools and readelf."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from assembling import link_text
from elftools.elf.elffile import ELFFile

from bootwright.common import abi
from bootwright.image.stub import link_generic
from bootwright.link.linked import Linked

TEXT = """start:  nop
        jmp  .end
        .space 3
.macro twice
        inc  eax
        inc  eax
.endm
.end:   twice
        ret
.section .bss
one:    .space BOOT_INFO_SIZEOF
many:   .space 3 * BOOT_MODULE_SIZEOF
plain:  .space 8
"""


def lines(linked: Linked) -> list[tuple[int, str, int]]:
    """Address, file and line of each row of the line program, as pyelftools runs it; line 0 where a run ends."""
    found = []
    for unit in ELFFile(io.BytesIO(linked.image)).get_dwarf_info().iter_CUs():
        program = unit.dwarfinfo.line_program_for_CU(unit)
        names = [entry.name.decode() for entry in program["file_entry"]]
        for entry in program.get_entries():
            if entry.state is not None:
                state = entry.state
                found.append((state.address, names[state.file - 1], 0 if state.end_sequence else state.line))
    return found


def test_every_instruction_has_its_line(tmp_path: Path) -> None:
    linked = link_text(tmp_path, TEXT)
    start = linked.symbols["start"]
    path = "a.asm"
    assert lines(linked) == [
        (start, path, 1),
        (start + 1, path, 2),
        (start + 3, path, 0),
        (start + 6, path, 8),
        (start + 8, path, 8),
        (start + 10, path, 9),
        (start + 11, path, 0),
    ]


def test_the_whole_stub_has_its_lines() -> None:
    linked = link_generic(4096)
    addresses = {address for address, _, line in lines(linked) if line}
    listed = [line for line in linked.listing.splitlines() if line[:8].strip() and line[10:26].strip()]
    for name in ("main", "panic", "find_modules", "enter_long_mode"):
        assert linked.symbols[name] in addresses
    assert len(addresses) > 3000
    assert len(listed) > len(addresses)


def test_records_lie_at_their_labels(tmp_path: Path) -> None:
    linked = link_text(tmp_path, TEXT)
    (unit,) = ELFFile(io.BytesIO(linked.image)).get_dwarf_info().iter_CUs()
    variables = {
        entry.attributes["DW_AT_name"].value.decode(): entry
        for entry in unit.iter_DIEs()
        if entry.tag == "DW_TAG_variable"
    }
    assert set(variables) == {"one", "many"}
    for name, entry in variables.items():
        assert bytes(entry.attributes["DW_AT_location"].value[1:]) == linked.symbols[name].to_bytes(4, "little")
    record = variables["one"].get_DIE_from_attribute("DW_AT_type")
    offsets = {
        member.attributes["DW_AT_name"].value.decode(): member.attributes["DW_AT_data_member_location"].value
        for member in record.iter_children()
    }
    declared = abi.load().struct("boot_info")
    assert offsets == {name: item.offset for name, item in declared.fields.items()}
    many = variables["many"].get_DIE_from_attribute("DW_AT_type")
    assert many.tag == "DW_TAG_array_type"
    assert next(many.iter_children()).attributes["DW_AT_upper_bound"].value == 2


@pytest.mark.parametrize("what", ["decodedline", "info", "abbrev"])
def test_readelf_has_no_complaint(what: str, tmp_path: Path) -> None:
    file = tmp_path / "stub.elf"
    file.write_bytes(link_generic(4096).image)
    done = subprocess.run(["readelf", f"--debug-dump={what}", file], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "<unknown" not in done.stdout
