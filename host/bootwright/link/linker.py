"""Objects and a layout into one ELF image: addresses, sizes, bytes.

    linked = link([assemble.assemble("stub/boot/entry.asm"), ...], layout.load("stub"), reserve={"tables": 4096})
    linked.image                        # the ELF file
    linked.symbols["start"]             # 0x100040
    linked.listing                      # source with addresses and bytes
    linked.code_size                    # bytes of code and read-only data

Every instruction's bytes are disassembled and compared with what was written (`check`) before they are used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from types import MappingProxyType

from bootwright.asm import check
from bootwright.asm.assemble import FILE_MARK, Align, Bytes, Code, Data, Label, Object, Space
from bootwright.asm.encode import encode
from bootwright.asm.expression import Expression
from bootwright.asm.expression import symbols as symbols_of
from bootwright.asm.template import relative, resolve, target_of
from bootwright.common import abi
from bootwright.common.errors import AssemblyError, BootwrightError, LinkError, Where, one_or_all
from bootwright.common.ranges import align_up
from bootwright.link import dwarf, elf_writer, listing
from bootwright.link.elf_writer import ElfSection, ElfSegment, ElfSymbol
from bootwright.link.layout import PAGE, Layout, LayoutSegment
from bootwright.link.linked import Linked, LinkedInstruction, LinkedSection
from bootwright.link.listing import ListedLine
from bootwright.link.relax import Placed, PlacedSection, Placement, collect, form_of, space_size
from bootwright.link.symbols import Symbols

_NOTHING: Mapping[str, int] = MappingProxyType({})
# Intel SDM, table 4-12: the multi-byte nops for 32- and 64-bit code.
_LONG_NOPS = (
    "90",
    "6690",
    "0f1f00",
    "0f1f4000",
    "0f1f440000",
    "660f1f440000",
    "0f1f8000000000",
    "0f1f840000000000",
)
_NOPS = tuple(bytes.fromhex(nop) for nop in _LONG_NOPS)


def link(
    objects: Sequence[Object],
    layout: Layout,
    *,
    reserve: Mapping[str, int] = _NOTHING,
    spare_headers: int = 0,
    instructions: bool = True,
) -> Linked:
    """Link objects, in this order within each section.

    reserve: bytes of each section of kind reserved, by its name without the dot.
    spare_headers: PT_NULL program headers for what is patched in later. instructions: whether the result has them.
    Raises LinkError or AssemblyError, or ErrorList with all that is wrong.
    """
    marks = [f"__{end}_{section.short_name}" for section in layout.sections for end in ("start", "end")]
    symbols = Symbols(objects, [*marks, "__image_start", "__image_end"])
    sections, errors = collect(objects, layout, symbols, reserve)
    errors = [*symbols.errors, *errors, *symbols.check(objects)]
    if layout.entry not in symbols.addresses:
        errors.append(LinkError(f"entry: symbol {layout.entry!r} is not defined", Where(layout.path)))
    _raise(errors)
    Placement(layout, sections, symbols).settle()
    output = _Output(symbols, instructions)
    contents = {name: output.section(section) for name, section in sections.items()}
    _raise([*output.errors, *_failed_assertions(objects, layout, symbols)])
    segments, placed = _arrange(layout, sections, contents)
    entry = symbols.addresses[layout.entry]
    debugging = dwarf.sections(output.rows, _variables(sections, symbols))
    try:
        image = elf_writer.write(
            entry, segments, placed, _elf_symbols(sections, placed, symbols), spare_headers, debugging
        )
    except ValueError as error:
        raise LinkError(str(error), Where(layout.path)) from error
    return Linked(
        image,
        _plain_names(symbols.addresses),
        tuple(LinkedSection(part.name, part.address, part.offset, part.size, part.flags) for part in placed),
        listing.render(placed, _listed(objects, output)),
        tuple(output.instructions),
        entry,
    )


def _plain_names(addresses: Mapping[str, int]) -> dict[str, int]:
    """Addresses by names without their file, but where files share one."""
    plain = [name.partition(FILE_MARK)[0] for name in addresses]
    shared = {name for name, count in Counter(plain).items() if count > 1}
    return {full if short in shared else short: addresses[full] for short, full in zip(plain, addresses, strict=True)}


def _raise(errors: list[BootwrightError]) -> None:
    if errors:
        raise one_or_all(errors)


class _Output:
    """Turns placed items into bytes, and keeps what was understood of each."""

    def __init__(self, symbols: Symbols, keep: bool) -> None:
        self.errors: list[BootwrightError] = []
        self.rows: list[dwarf.Row] = []
        self.instructions: list[LinkedInstruction] = []
        self._keep = keep
        self.made: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        self._symbols = symbols

    def section(self, section: PlacedSection) -> bytes:
        """The bytes of a section, none for one that is not in the file."""
        absent = section.layout.kind == "nobits"
        code = section.layout.kind == "code"
        found = bytearray()
        for placed in section.items:
            try:
                data = b"" if absent else self._bytes(placed, code)
            except AssemblyError as error:
                self.errors.append(placed.line.place(error))
                continue
            found += data
            if placed.source >= 0:
                self.made.setdefault((placed.source, placed.item.line), []).append((placed.address, data))
        return bytes(found)

    def _bytes(self, placed: Placed, code: bool) -> bytes:
        match placed.item:
            case Code():
                return self._code(placed, placed.item)
            case Data(_, width, numbers):
                return b"".join(self._number(tree, width, placed.address) for tree in numbers)
            case Bytes(_, data):
                return data
            case Align(_, _, mode):
                return _padding(placed.size, mode) if code else bytes(placed.size)
            case Space(_, size, fill):
                space_size(size, self._symbols, placed.address)
                return self._number(fill, 1, placed.address) * placed.size
            case Label():
                return b""

    def _code(self, placed: Placed, code: Code) -> bytes:
        if code.forms and not form_of(placed, code).width and not self._keep:
            data = form_of(placed, code).data
            return self._made(placed, data)
        numbers = resolve(code.instruction, lambda tree: self._symbols.evaluate(tree, placed.address))
        if not code.forms:
            data = encode(relative(numbers, placed.address + placed.size), placed.address)
            check.check(numbers, data, placed.address)
        else:
            form = form_of(placed, code)
            data = form.data
            if form.width:
                target = target_of(numbers)
                distance = target - placed.address - len(data)
                if not form.reaches(distance):
                    where = f"{numbers.mnemonic} {target:#x}: {distance:#x} bytes away"
                    raise AssemblyError(f"{where}, which is out of reach")
                data = form.filled(distance)
                check.check_target(numbers.mode, data, placed.address, target)
        if self._keep:
            self.instructions.append(LinkedInstruction(placed.line, placed.address, data, numbers))
        return self._made(placed, data)

    def _made(self, placed: Placed, data: bytes) -> bytes:
        if len(data) != placed.size:
            raise AssemblyError(f"changed its size from {placed.size} to {len(data)} bytes after the last pass")
        where = placed.line.where
        self.rows.append(dwarf.Row(placed.address, len(data), _path(where.path), where.line or 0))
        return data

    def _number(self, tree: Expression, width: int, here: int) -> bytes:
        value = self._symbols.evaluate(tree, here)
        if value.addresses not in (0, 1):
            raise AssemblyError("addresses are added or negated: only label + number and label - label are right")
        if not -(1 << (8 * width - 1)) <= value.number < 1 << (8 * width):
            raise AssemblyError(f"{value.number} ({value.number:#x}) does not fit into {width} bytes")
        return (value.number & ((1 << (8 * width)) - 1)).to_bytes(width, "little")


def _padding(size: int, mode: int) -> bytes:
    longest = len(_NOPS) if mode != 16 else 1
    return _NOPS[longest - 1] * (size // longest) + (_NOPS[size % longest - 1] if size % longest else b"")


def _failed_assertions(objects: Sequence[Object], layout: Layout, symbols: Symbols) -> list[BootwrightError]:
    checks: list[tuple[Expression, str, Callable[[str], BootwrightError]]] = [
        (assertion.condition, assertion.message, item.lines[assertion.line].error)
        for item in objects
        for assertion in item.assertions
    ]
    place = Where(layout.path)
    checks += [
        (assertion.condition, assertion.message, lambda message: LinkError(message, place))
        for assertion in layout.assertions
    ]
    failed = []
    for condition, message, error in checks:
        try:
            if not symbols.evaluate(condition, symbols.addresses["__image_end"]).number:
                failed.append(error(message))
        except AssemblyError as reason:
            failed.append(reason if reason.where else error(reason.message))
    return failed


def _arrange(
    layout: Layout, sections: Mapping[str, PlacedSection], contents: Mapping[str, bytes]
) -> tuple[list[ElfSegment], list[ElfSection]]:
    """Segments and sections with their places in the file. What is empty is left out."""
    segments: list[ElfSegment] = []
    placed: list[ElfSection] = []
    offset = PAGE
    for segment in layout.segments:
        parts = [
            sections[part.name] for part in segment.sections if sections[part.name].end > sections[part.name].start
        ]
        if not parts:
            continue
        start = parts[0].start // PAGE * PAGE
        found = [_elf_section(part, contents[part.layout.name], offset, start, segment) for part in parts]
        file_size = max((part.address + len(part.data) - start for part in found if part.data), default=0)
        segments.append(ElfSegment(segment.flags, start, offset, file_size, parts[-1].end - start))
        placed += found
        offset = align_up(offset + file_size, PAGE)
    return segments, placed


def _elf_section(part: PlacedSection, data: bytes, offset: int, start: int, segment: LayoutSegment) -> ElfSection:
    kind = {"build-id": "note", "reserved": "progbits"}.get(part.layout.kind, part.layout.kind)
    place = offset + part.start - start
    return ElfSection(
        part.layout.name,
        part.start,
        place,
        part.end - part.start,
        part.layout.align,
        segment.flags,
        kind,
        data,
    )


def _elf_symbols(
    sections: Mapping[str, PlacedSection], placed: Sequence[ElfSection], symbols: Symbols
) -> list[ElfSymbol]:
    """Labels without a dot, each up to the next, and the linker's own names, in order of address and name."""
    present = {part.name for part in placed}
    found: list[ElfSymbol] = []
    names: set[str] = set()
    for name, section in sections.items():
        labels = [entry.item.name for entry in section.items if isinstance(entry.item, Label)]
        plain = [label for label in labels if "." not in label.partition(FILE_MARK)[0]]
        ends = [symbols.addresses[label] for label in plain[1:]] + [section.end]
        for label, end in zip(plain, ends, strict=False):
            address = symbols.addresses[label]
            short, local, _ = label.partition(FILE_MARK)
            found.append(ElfSymbol(short, address, end - address, name if name in present else None, bool(local)))
        names.update(labels)
    for name, address in symbols.addresses.items():
        if name not in names:
            found.append(ElfSymbol(name, address, 0, None))
    return sorted(found, key=lambda symbol: (symbol.value, symbol.name))


def _path(path: str) -> str:
    """Sources of the project by their path in it, others by their name: where they lie is nothing for an output."""
    return path if path.startswith("stub/") else PurePath(path).name


def _variables(sections: Mapping[str, PlacedSection], symbols: Symbols) -> Iterator[dwarf.Variable]:
    """The labels right in front of room for records of stub/abi."""
    for section in sections.values():
        for label, room in pairwise(section.items):
            if isinstance(label.item, Label) and isinstance(room.item, Space):
                for name in symbols_of(room.item.size):
                    record = abi.load().record_of(name)
                    if record is not None:
                        count = room.size // abi.load().constants[name]
                        yield dwarf.Variable(label.item.name.partition(FILE_MARK)[0], label.address, record, count)


def _listed(objects: Sequence[Object], output: _Output) -> list[ListedLine]:
    listed: list[ListedLine] = []
    for index, item in enumerate(objects):
        for number, line in enumerate(item.lines):
            pieces = output.made.get((index, number), [])
            data = b"".join(piece for _, piece in pieces)
            listed.append(ListedLine(line, pieces[0][0] if pieces else None, data))
    return listed
