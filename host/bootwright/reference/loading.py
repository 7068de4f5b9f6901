"""Boot modules on their way: found, out of the way of what is to be loaded, moved to their places. The
reference for stub/boot/modules.asm and stub/boot/load.asm, in which room they find and how they fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure, line
from bootwright.common.pieces import Piece
from bootwright.common.ranges import FOUR_GIB, Range, Relocation, align_up, span
from bootwright.hyperlaunch.model import BootModule, MemoryRange
from bootwright.kernels import linux
from bootwright.plan.records import PlannedModule
from bootwright.reference.machine import HIGHEST, Machine, all_ram, find_low_room, find_room, overlap


def embedded_place(record: PlannedModule, stub: Range) -> Range:
    """Where a module of the image lies: as far from its place as the stub is from its own."""
    start = record.load_address + stub.start - load_abi().constants["IMAGE_BASE"]
    return Range.sized(start, record.size)


class Loading:
    """The modules of the tables on a machine. records: as in the tables; places: where each lies now.

    ranges is to be set to the normalised memory map before anything is moved.
    """

    def __init__(self, machine: Machine, records: Sequence[PlannedModule], mods: Sequence[BootModule]) -> None:
        self._constants = load_abi().constants
        self._machine = machine
        self._claimed: set[int] = set()
        self._rooms: list[Range] = []  # of pieces that are moved last
        given = machine.efi.given if machine.efi else None
        self._given = None if given is None else iter(given)
        self.ranges: tuple[MemoryRange, ...] = ()
        self.records = list(records)
        self.places: list[Range] = []

    # --- found ---

    def find(self, number: int) -> Range:
        """Where a module lies. Raises BootFailure."""
        record = self.records[number]
        if record.embedded:
            place = embedded_place(record, self._machine.stub)
        elif record.flags & self._constants["MODULE_LOADER"]:
            self._claimed.add(record.load_address)
            place = Range.sized(self._machine.modules[record.load_address].start, record.size)
        else:
            place = self._find_by_name(record)
        self.places.append(place)
        return place

    def _find_by_name(self, record: PlannedModule) -> Range:
        for number, module in enumerate(self._machine.modules):
            if any(word.rpartition("/")[2] == record.name for word in module.string.split(" ")):
                self._claimed.add(number)
                if module.size != record.size:
                    raise BootFailure("E_MODULE_SIZE", record.name, module.size, record.size)
                return Range.sized(module.start, module.size)
        raise BootFailure("E_MODULE_MISSING", record.name, len(self._machine.modules))

    @property
    def left_over(self) -> list[int]:
        """The loader's modules that no record claims."""
        return [number for number in range(len(self._machine.modules)) if number not in self._claimed]

    # --- room ---

    def set_pieces(self, number: int, pieces: tuple[Piece, ...], movable: Relocation | None = None) -> None:
        """What a probe found out about a module, or where its pieces go instead."""
        record = self.records[number]
        self.records[number] = replace(record, pieces=pieces, movable=movable or record.movable)

    @property
    def _targets(self) -> Iterator[Range]:
        return (piece.range for record in self.records for piece in record.pieces)

    def _taken(self) -> list[Range]:
        brought = (Range.sized(module.start, module.size) for module in self._machine.modules)
        return [*self._lasting(), *brought]

    def _lasting(self) -> list[Range]:
        """What is in use to the end; of the loader's modules no more than where they are now."""
        return [self._machine.stub, *self.places, *self._rooms, *self._targets]

    def is_free(self, wanted: Range) -> bool:
        """Is it RAM that nothing lies in or is to go to?"""
        taken = self._taken()
        return all_ram(self.ranges, wanted) and not any(overlap(wanted, other) for other in taken)

    def find_room(self, size: int, limit: int = FOUR_GIB) -> int | None:
        """As machine.find_room, clear of everything; or what the firmware gives, while memory is its own."""
        if self._given is not None:
            return next(self._given, None)
        return find_room(self.ranges, size, self._taken(), limit)

    def open_handover(self) -> Range:
        """Room in which the hand-over area can be made, however long it gets. Raises BootFailure E_HANDOVER_ROOM."""
        size = self._constants["HANDOVER_SIZE"]
        start = self.find_room(size, self._constants["HANDOVER_LIMIT"])
        if start is None:
            raise BootFailure("E_HANDOVER_ROOM", size)
        return Range.sized(start, size)

    def place_handover(self, made: Range, size: int) -> Range:
        """Where the area of `size` bytes goes that was made in `made`: where the firmware gave it, or as low as
        possible.
        """
        size = align_up(size, self._constants["PAGE_SIZE"])
        start = None if self._given is not None else find_low_room(self.ranges, size, self._lasting())
        return made if start is None else Range.sized(start, size)

    def find_place(self, wanted: Range, movable: Relocation) -> int | None:
        """Where a kernel is to lie that may be moved: where it wants to be, if that is free, or where there is room;
        None for nowhere.
        """
        if self.is_free(wanted):
            return wanted.start
        found = self.find_room(wanted.size + movable.alignment, movable.highest + 1)
        place = 0 if found is None else align_up(found, movable.alignment)
        return place if place and place >= movable.lowest else None

    def move_kernel(self, number: int) -> tuple[Range, int]:
        """Give a kernel that may be moved another place, if its own is not free RAM (stub/launch/relocate.asm).

        The place that it had, and how far it goes from there: 0 where there is no room.
        """
        record = self.records[number]
        if record.movable is None or not record.pieces:
            return Range(0, 0), 0
        old = span(piece.range for piece in record.pieces)
        self.set_pieces(number, ())  # its old place may be part of its new one
        place = self.find_place(old, record.movable)
        distance = 0 if place is None else place - old.start
        self.set_pieces(number, tuple(piece.moved(distance) for piece in record.pieces))
        return old, distance

    def evacuate_modules(self) -> Iterator[str]:
        """Move modules that lie where a piece is to go. Raises BootFailure E_NO_FREE_ROOM."""
        for number, place in enumerate(self.places):
            if not any(overlap(place, target) for target in self._targets):
                continue
            start = self.find_room(place.size)
            if start is None:
                raise BootFailure("E_NO_FREE_ROOM", place.size, self.records[number].name)
            self.places[number] = moved = Range.sized(start, place.size)
            yield line("M_MODULE_MOVED", number, place.start, place.end, moved.start, moved.end)

    # --- loaded ---

    def check(self, number: int) -> None:
        """All pieces of a module, before any is moved. Raises BootFailure E_MODULE_PIECE, E_NO_ROOM."""
        record, size = self.records[number], self.places[number].size
        for piece in record.pieces:
            end = piece.source + piece.source_size
            stored = piece.method == self._constants["PACK_STORED"]
            if end > size or (stored and piece.dest_size > piece.source_size):
                raise BootFailure("E_MODULE_PIECE", record.name, piece.source, end, size)
            end = piece.dest + piece.dest_size
            end += piece.zero_size if end <= HIGHEST else 0
            if end > FOUR_GIB:
                raise BootFailure("E_NO_ROOM", record.name, piece.dest, end & HIGHEST)
            if not all_ram(self.ranges, piece.range):
                raise BootFailure("E_NO_ROOM", record.name, piece.dest, piece.range.end)

    def load(self, number: int) -> None:
        """Move the pieces of a module; those for the stub or the first page wait elsewhere. Raises BootFailure."""
        record = self.records[number]
        if record.start:
            self.places[number] = Range.sized(record.start, record.unpacked_size)
        for piece in record.pieces:
            target = Range.sized(piece.dest, piece.dest_size + piece.zero_size)
            in_first_page = target.start < self._constants["PAGE_SIZE"]  # which the stub does not map
            if not in_first_page and not overlap(target, self._machine.stub):
                continue
            start = self.find_room(piece.dest_size)
            if start is None:
                raise BootFailure("E_NO_FREE_ROOM", piece.dest_size, record.name)
            if len(self._rooms) >= self._constants["MAX_DEFERRED"]:
                raise BootFailure("E_TOO_MANY_DEFERRED", record.name, self._constants["MAX_DEFERRED"])
            self._rooms.append(Range.sized(start, piece.dest_size))


def check_real_mode(machine: Machine, ranges: Sequence[MemoryRange], file: bytes, who: str) -> None:
    """A bzImage that starts in real mode needs a BIOS, and RAM for its setup code. Raises BootFailure."""
    constants = load_abi().constants
    whole = constants["BOOT_PARAMS_SIZEOF"]
    if not linux.starts_in_real_mode(load_abi().struct("boot_params")(file[:whole].ljust(whole, b"\0"))):
        return
    if machine.efi is not None or not machine.bios:
        raise BootFailure("E_NO_BIOS", who, machine.entry)
    place = Range.sized(constants["REAL_MODE_BASE"], constants["REAL_MODE_SIZE"])
    if not all_ram(ranges, place):
        raise BootFailure("E_NO_ROOM", who, place.start, place.end)
