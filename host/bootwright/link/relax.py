"""Items into sections, sections to addresses: passes until nothing moves any more.

Branches start in their short form and only ever grow. All other instructions are as long as their numbers
make them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bootwright.asm.assemble import Align, Bytes, Code, Data, Item, Label, Object, Space, item_symbols
from bootwright.asm.encode import encode
from bootwright.asm.expression import Expression
from bootwright.asm.preprocess import Line
from bootwright.asm.template import Form, relative, resolve, target_of
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import AssemblyError, BootwrightError, LinkError, Where
from bootwright.common.ranges import align_up
from bootwright.link.layout import PAGE, Layout, LayoutSection
from bootwright.link.symbols import Symbols, pool_label

_MAX_PASSES = 64
_NT_GNU_BUILD_ID = 3


@dataclass
class Placed:
    """An item with its address and size in bytes, which change from pass to pass.

    fixed: its size depends on no address. near: a branch that needs its long form. source: index of the
    object that it came from, -1 for what the linker made.
    """

    item: Item
    line: Line
    source: int = -1
    size: int = 0
    address: int = 0
    fixed: bool = False
    near: bool = False


@dataclass
class PlacedSection:
    """A section of the layout with what is in it; start and end are addresses."""

    layout: LayoutSection
    items: list[Placed] = field(default_factory=list)
    start: int = 0
    end: int = 0


def collect(
    objects: Sequence[Object], layout: Layout, symbols: Symbols, reserve: Mapping[str, int]
) -> tuple[dict[str, PlacedSection], list[BootwrightError]]:
    """All items of all objects in the sections of a layout, and what is wrong with them."""
    sections = {section.name: PlacedSection(section) for section in layout.sections}
    errors: list[BootwrightError] = []
    for index, item in enumerate(objects):
        for name, entries in item.sections.items():
            placed = [Placed(entry, item.lines[entry.line], index) for entry in entries]
            if placed:
                errors += _fill(sections.get(name), name, placed, layout)
    pool = Line(Where(layout.path), "; texts of stub/abi")
    for name, text in symbols.pool.items():
        for entry in (Label(0, pool_label(name)), Bytes(0, text.encode() + b"\0")):
            sections[layout.strings].items.append(Placed(entry, pool))
    for section in sections.values():
        section.items += _generated(section.layout, layout, reserve)
    return sections, errors


def _fill(section: PlacedSection | None, name: str, placed: list[Placed], layout: Layout) -> list[BootwrightError]:
    if section is None:
        return [placed[0].line.error(f"section {name} is not in {layout.path}")]
    if section.layout.kind in ("build-id", "reserved"):
        return [placed[0].line.error(f"section {name} cannot be filled from source, says {layout.path}")]
    section.items += placed
    if section.layout.kind != "nobits":
        return []
    return [
        entry.line.error(f"{name} is not in the file: only labels, .align and .space are possible there")
        for entry in placed
        if isinstance(entry.item, Code | Data | Bytes)
    ]


def _generated(section: LayoutSection, layout: Layout, reserve: Mapping[str, int]) -> list[Placed]:
    line = Line(Where(layout.path), f"; {section.name}")
    if section.kind == "build-id":
        # The id is zeros until it is patched in: it depends on everything else.
        size = load_abi().constants["BUILD_ID_SIZE"]
        head = b"".join(number.to_bytes(4, "little") for number in (4, size, _NT_GNU_BUILD_ID))
        return [Placed(Bytes(0, head + b"GNU\0" + bytes(size)), line)]
    size = reserve.get(section.name.lstrip("."), 0) if section.kind == "reserved" else 0
    return [Placed(Bytes(0, bytes(size)), line)] if size else []


class Placement:
    """Gives every item of `sections` its address and size, and every label in `symbols` its address."""

    def __init__(self, layout: Layout, sections: Mapping[str, PlacedSection], symbols: Symbols) -> None:
        self._layout = layout
        self._sections = sections
        self._symbols = symbols
        self._items = [placed for section in sections.values() for placed in section.items]

    def settle(self) -> None:
        """Pass over all items until neither a size nor an address changes.

        An item whose numbers do not fit keeps the size it had: writing it out reports it. Raises
        AssemblyError at an item that never comes to rest, LinkError for reserved sizes beyond 32 bits.
        """
        for placed in self._items:
            placed.fixed = self._is_fixed(placed.item)
        self._place()
        pending = self._items
        for _ in range(_MAX_PASSES):
            changed = [placed for placed in pending if self._resize(placed)]
            moved = self._place()
            if not changed and not moved:
                return
            pending = [placed for placed in self._items if not placed.fixed]
        if not changed:
            raise LinkError("addresses do not settle", Where(self._layout.path))
        raise changed[0].line.error("its size depends on its own address and does not settle")

    def _is_fixed(self, item: Item) -> bool:
        if isinstance(item, Code) and item.forms:
            return len(item.forms) == 1
        return all(self._symbols.is_fixed(name) for name in item_symbols(item))

    def _resize(self, placed: Placed) -> bool:
        before = placed.size
        try:
            placed.size = self._size(placed)
        except AssemblyError:
            return False
        return placed.size != before

    def _size(self, placed: Placed) -> int:
        match placed.item:
            case Code():
                return self._code_size(placed, placed.item)
            case Data(_, width, numbers):
                return width * len(numbers)
            case Bytes(_, data):
                return len(data)
            case Space(_, tree, _):
                return space_size(tree, self._symbols, placed.address)
        return placed.size

    def _code_size(self, placed: Placed, code: Code) -> int:
        if not code.forms:
            numbers = resolve(code.instruction, lambda tree: self._symbols.evaluate(tree, placed.address))
            return len(encode(relative(numbers, placed.address), placed.address))
        if len(code.forms) > 1 and not placed.near:
            short = code.forms[0]
            distance = self._distance(placed, code, short)
            placed.near = not short.reaches(distance)
        return len(form_of(placed, code).data)

    def _distance(self, placed: Placed, code: Code, form: Form) -> int:
        target = self._symbols.evaluate(target_of(code.instruction), placed.address)
        return target.number - placed.address - len(form.data)

    def _place(self) -> bool:
        """Give every item its address. Returns whether any symbol moved."""
        addresses = self._symbols.addresses
        before = dict(addresses)
        address = addresses["__image_start"] = self._layout.base
        for segment in self._layout.segments:
            if any(self._sections[section.name].items for section in segment.sections):
                address = align_up(address, PAGE)
            for section in segment.sections:
                address = self._place_section(self._sections[section.name], address)
        addresses["__image_end"] = align_up(address, PAGE)
        self._symbols.moved()
        if address > 1 << 32:
            raise LinkError(f"the image would end at {address:#x}, beyond 4 GiB", Where(self._layout.path))
        return addresses != before

    def _place_section(self, section: PlacedSection, address: int) -> int:
        addresses = self._symbols.addresses
        if section.items:
            address = align_up(address, section.layout.align)
        section.start = address
        for placed in section.items:
            placed.address = address
            if isinstance(placed.item, Label):
                addresses[placed.item.name] = address
            elif isinstance(placed.item, Align):
                placed.size = -address % placed.item.boundary
            address += placed.size
        section.end = address
        addresses[f"__start_{section.layout.short_name}"] = section.start
        addresses[f"__end_{section.layout.short_name}"] = address
        return address


def space_size(tree: Expression, symbols: Symbols, here: int) -> int:
    """The size that a .space asks for. Raises AssemblyError without a place if it is none."""
    value = symbols.evaluate(tree, here)
    if value.addresses or not 0 <= value.number < 1 << 32:
        raise AssemblyError(f".space: {value.number:#x} is no number of bytes")
    return value.number


def form_of(placed: Placed, code: Code) -> Form:
    """The form that an instruction has where it is placed."""
    return code.forms[-1 if placed.near else 0]
