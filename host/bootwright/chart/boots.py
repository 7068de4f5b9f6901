"""The stages of a boot as pictures have them: memory as the loader leaves it, as it is unpacked, as it is launched.

    of_fit(found, parts, subject)   # of a boot that lab.fit computed
    of_log(text, found, ...)        # of one whose console was kept: addresses are the log's, sizes of pieces the plan's

parts: what the stub is made of, at its link address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bootwright.chart import regions, words
from bootwright.chart.regions import Region, Stage, paint
from bootwright.chart.scale import gaps
from bootwright.common.abi import load as load_abi
from bootwright.common.messages import pattern
from bootwright.common.ranges import Range, align_up, span
from bootwright.hyperlaunch.model import BootDomain, MemoryRange
from bootwright.lab.fit import KINDS, Fit, loaded_places
from bootwright.plan.records import Plan, PlannedModule
from bootwright.reference.boot import KIND_NAMES
from bootwright.reference.transcript import parse_transcript

LOADED, UNPACKED, LAUNCHED = "loaded", "unpacked", "launched"
_SAYS = {
    LOADED: "as the loader leaves it",
    UNPACKED: "before the stub gives way",
    LAUNCHED: "as what is launched finds it",
}
# Sections of the stub; all others are code and its constants.
_PARTS = {
    **dict.fromkeys((".data", ".bss"), (regions.STUB, "stub's working memory")),
    ".tables": (regions.TABLES, "tables"),
    ".manifest": (regions.TABLES, "manifest"),
}
_CHECKSUM = re.compile(", CRC-32 0x[0-9a-f]+$")
_LAUNCHING = ("M_CMDLINE", "M_KERNEL_MOVED", "M_LAUNCH", "M_PARTITION_ENTRY")
_KINDS = {"kernel": regions.KERNEL, "ramdisk": regions.RAMDISK, "xen": regions.HYPERVISOR}


@dataclass(frozen=True)
class Part:
    """A part of the stub at its link address: regions.STUB or TABLES, and what it is."""

    range: Range
    kind: str
    what: str


@dataclass(frozen=True)
class Chart:
    """A picture's contents. title: of which image; subject: on which machine, or by which log; launch: the stub's lines
    on what is entered, and what that is told; notes: sentences about what is not certain.
    """

    title: str
    subject: str
    stages: tuple[Stage, ...]
    launch: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Facts:
    """Where things lie. loaded, places: each module before and after others made way, pieces: where its parts go;
    information, handover, memory: None and nothing where the boot did not come to that.
    """

    ranges: tuple[MemoryRange, ...]
    stub: Range
    loaded: Sequence[Range]
    places: Sequence[Range] = ()
    pieces: Sequence[Sequence[Range]] = ()
    information: Range | None = None
    handover: Range | None = None
    memory: Sequence[tuple[str, Range]] = ()


def of_fit(found: Fit, parts: Sequence[Part], subject: str) -> Chart:
    """The stages of a boot that was computed for a machine, as far as it comes."""
    facts, boot = _Facts(found.ranges, found.stub, loaded_places(found.plan, found.stub, found.modules)), found.boot
    if boot is not None and boot.handover is not None:
        facts = replace(
            facts,
            places=_moved(facts.loaded, boot.lines),
            pieces=boot.pieces,
            information=Range.sized(boot.information_start, len(boot.information)),
            handover=boot.handover,
            memory=boot.memory,
        )
    notes = (*found.notes, *([f"it does not boot: {found.reason}"] if found.reason else []))
    stages = _stages(found.plan, facts, parts)
    return Chart(found.image, subject, stages, _launch_lines(boot.lines if boot else ()), notes)


def stub_parts(sections: Iterable[tuple[str, Range]], stub: Range) -> list[Part]:
    """The parts of a stub of these sections; each goes up to the next, the last to the stub's end."""
    found: list[Part] = []
    for name, place in sorted(sections, key=lambda section: section[1].start):
        part = Part(place, *_PARTS.get(name, (regions.STUB, "stub's code")))
        if found and found[-1].what == part.what:
            continue
        if found:
            found[-1] = replace(found[-1], range=Range(found[-1].range.start, place.start))
        found.append(part)
    if found:
        found[-1] = replace(found[-1], range=Range(found[-1].range.start, stub.end))
    return found


# --- of a log ---


def of_log(text: str, found: Fit, build: str, parts: Sequence[Part], subject: str) -> Chart:
    """The stages of the last boot in a console's text, as far as it came. found: the plan of its image; build: what the
    first line of a boot of it shows. Pure: whatever the text is, it raises nothing; without a boot there is no stage.
    """
    lines = _last_boot(text)
    seen, plan = parse_transcript("\n".join(lines)), found.plan
    if seen.stub is None:
        return Chart(found.image, subject, (), notes=("no line of the stub is in this log",))
    here = {module.number: module.place for module in seen.modules}
    notes = list(_log_notes(seen.image, seen.build, found.image, build, known=bool(seen.ranges)))
    ranges = seen.ranges[: load_abi().constants["MAX_RANGES"]]
    facts = _Facts(ranges, seen.stub, [here.get(number, Range(0, 0)) for number in range(len(plan.modules))])
    if seen.information is not None:
        facts = replace(
            facts,
            places=_moved(facts.loaded, lines),
            pieces=_pieces(plan, lines),
            information=seen.information,
            handover=_handover(seen.information, whole=bool(_values(lines, "M_EFI_SERVICES"))),
            memory=tuple(_granted(lines)),
        )
    return Chart(found.image, subject, _stages(plan, facts, parts), _launch_lines(lines), tuple(notes))


def _launch_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """What a boot says of its launch, but for checksums."""
    prefix = load_abi().strings["M_PREFIX"]
    return tuple(
        _CHECKSUM.sub("", line.removeprefix(prefix))
        for line in lines
        if any(pattern(name).fullmatch(line) for name in _LAUNCHING)
    )


def _last_boot(text: str) -> list[str]:
    """The lines of the last boot, each once: some firmware shows them on several consoles."""
    prefix = load_abi().strings["M_PREFIX"]
    said = [line[line.find(prefix) :] for line in re.split(r"[\r\n]+", text) if prefix in line]
    begins = [number for number, line in enumerate(said) if pattern("M_ENTRY").fullmatch(line)]
    return list(dict.fromkeys(said[begins[-1] :])) if begins else []


def _values(lines: Iterable[str], name: str) -> list[tuple[str, ...]]:
    return [match.groups() for line in lines if (match := pattern(name).fullmatch(line))]


def _log_notes(image: str, build: str, name: str, now: str, *, known: bool) -> Iterator[str]:
    if (image, build) != (name, now):
        yield f"the log is of image {image} build {build}, what is planned now is {name} build {now}"
    if not known:
        yield 'the log has no memory map, so what is free is not known: boot once with log = "debug"'


def _moved(loaded: Sequence[Range], lines: Iterable[str]) -> list[Range]:
    """Where each module lies as it travels, once some made way for what goes to their places."""
    moved = {int(v[0]): Range(int(v[3], 16), int(v[4], 16)) for v in _values(lines, "M_MODULE_MOVED")}
    return [moved.get(number, place) for number, place in enumerate(loaded)]


def _pieces(plan: Plan, lines: Sequence[str]) -> list[list[Range]]:
    """Where the pieces of each module went: as planned, or with a kernel that was moved."""
    moves = {
        Range(int(v[1], 16), int(v[2], 16)): int(v[3], 16) - int(v[1], 16) for v in _values(lines, "M_KERNEL_MOVED")
    }
    found = []
    for module in plan.modules:
        ranges = [piece.range for piece in module.pieces]
        distance = moves.get(span(ranges), 0) if ranges else 0
        found.append([Range(one.start + distance, one.end + distance) for one in ranges])
    return found


def _handover(information: Range, *, whole: bool) -> Range:
    """The area around what is told: as long as it has to be, or all of what the firmware gave."""
    constants = load_abi().constants
    start = information.start - constants["HANDOVER_INFORMATION"]
    end = start + constants["HANDOVER_SIZE"] if whole else align_up(information.end, constants["PAGE_SIZE"])
    return Range(start, end)


def _granted(lines: Sequence[str]) -> Iterator[tuple[str, Range]]:
    """What domains of a partition got, in the words of reference/partition.py."""
    names = {v[0]: v[1] for v in _values(lines, "M_DOMAIN")}
    for number, start, end, _ in _values(lines, "M_PARTITION_BANK"):
        yield f"domain {names.get(number, number)}", Range(int(start, 16), int(end, 16))
    for _, name, start, end, *_ in _values(lines, "M_PARTITION_SHARE"):
        yield f"shared range {name}", Range(int(start, 16), int(end, 16))


# --- the stages ---


def _stages(plan: Plan, facts: _Facts, parts: Sequence[Part]) -> tuple[Stage, ...]:
    base = [_base(part) for part in facts.ranges]
    stub = list(_stub(facts.stub, parts))
    files = [_file(plan, number, place) for number, place in enumerate(facts.loaded)]
    claims = [*base, *stub, *files, *_clashes(base, [*stub, *files])]
    found = [paint(LOADED, _SAYS[LOADED], claims, "the stub, to move things to")]
    if facts.handover is None or facts.information is None:
        return tuple(found)
    left = [_file(plan, number, place) for number, place in enumerate(facts.places) if plan.modules[number].pieces]
    kept = [_file(plan, number, place) for number, place in enumerate(facts.places) if not plan.modules[number].pieces]
    placed = [one for number, where in enumerate(facts.pieces) for one in _placed(plan, number, where)]
    # What goes to where the stub is, it moves there with its last instructions.
    told = list(_told(plan, facts.handover, facts.information))
    found.append(paint(UNPACKED, _SAYS[UNPACKED], [*base, *left, *kept, *placed, *told, *stub], "the stub"))
    granted = [_grant(what, place) for what, place in facts.memory]
    claims = [*base, *kept, *placed, *told, *granted]
    found.append(paint(LAUNCHED, _SAYS[LAUNCHED], claims, _free_for(plan)))
    return tuple(found)


def _clashes(base: Sequence[Region], claims: Sequence[Region]) -> Iterator[Region]:
    """The parts of what is loaded that would lie in no RAM, with what is there. base: sorted, empty for a map that is
    not known.
    """
    if not base:
        return
    for claim in claims:
        for gap in gaps(base, claim.range):
            where = Range(max(gap.start, claim.range.start), min(gap.end, claim.range.end))
            yield Region(where, claim.owner, regions.CLASH, f"{claim.what}, where no memory is")
        for part in base:
            if part.kind == regions.FIRMWARE and part.range.overlaps(claim.range):
                where = Range(max(part.range.start, claim.range.start), min(part.range.end, claim.range.end))
                yield Region(where, claim.owner, regions.CLASH, f"{claim.what}, over {part.what}")


def _base(part: MemoryRange) -> Region:
    ram = part.type == load_abi().constants["XEN_HVM_MEMMAP_TYPE_RAM"]
    known = KINDS[part.type] if part.type < len(KINDS) else ""
    kind, what = (regions.FREE, "free") if ram else (regions.FIRMWARE, known or "reserved")
    return Region(Range(part.start, part.end), "" if ram else "firmware", kind, what)


def _stub(stub: Range, parts: Sequence[Part]) -> Iterator[Region]:
    yield Region(stub, "bootwright", regions.STUB, "stub")
    distance = stub.start - load_abi().constants["IMAGE_BASE"]
    for part in parts:
        place = Range(part.range.start + distance, min(part.range.end + distance, stub.end))
        yield Region(place, "bootwright", part.kind, part.what)


def _file(plan: Plan, number: int, place: Range) -> Region:
    """A module as it travels: packed, or as it will be used."""
    module = plan.modules[number]
    packed = bool(module.pieces) or plan.partition
    what = f"{_called(plan, number)}{', packed' if packed else ''}"
    return Region(place, _owner(plan, number), regions.PACKED if packed else _kind(plan, module), what)


def _placed(plan: Plan, number: int, where: Sequence[Range]) -> Iterator[Region]:
    module, owner = plan.modules[number], _owner(plan, number)
    kind = _kind(plan, module)
    for place in where:
        yield Region(place, owner, kind, _called(plan, number))
    if kind == regions.RESIDENT and plan.partitioned and plan.partitioned.parts:
        data = span(part for part, _ in plan.partitioned.parts)
        yield Region(data, owner, regions.RESIDENT, "resident part's data")


def _told(plan: Plan, handover: Range, information: Range) -> Iterator[Region]:
    who = "kernel" if plan.hypervisor is None else "resident part" if plan.partition else "hypervisor"
    end = min(handover.end, align_up(information.end, load_abi().constants["PAGE_SIZE"]))
    for place, what in (
        (Range(handover.start, information.start), "page tables, last instructions"),
        (Range(information.start, end), f"what the {who} is told"),
        (Range(end, handover.end), "room behind that"),
    ):
        yield Region(place, "bootwright", regions.HANDOVER, what)


def _grant(what: str, place: Range) -> Region:
    name = what.removeprefix("domain ")
    if name != what:
        return Region(place, name, regions.DOMAIN, f"memory of {what}")
    return Region(place, "", regions.SHARED, what)


def _kind(plan: Plan, module: PlannedModule) -> str:
    kind = _KINDS.get(KIND_NAMES[module.kind], regions.MODULE)
    return regions.RESIDENT if kind == regions.HYPERVISOR and plan.partition else kind


def _called(plan: Plan, number: int) -> str:
    module = plan.modules[number]
    kind = _kind(plan, module)
    return "resident part" if kind == regions.RESIDENT else f"{kind} {module.name}"


def _owner(plan: Plan, number: int) -> str:
    """The domains that a module is for, or the hypervisor."""
    if plan.hypervisor is not None and plan.hypervisor.module == number:
        return "bootwright" if plan.partition else "hypervisor"
    domains = (one.domain for one in plan.domains)
    return ", ".join(d.name for d in domains if number in (d.kernel, d.ramdisk, *d.handed))


def _memory(domain: BootDomain) -> int:
    return domain.mem_size.pages(0) * load_abi().constants["PAGE_SIZE"]


def _free_for(plan: Plan) -> str:
    if plan.partition:
        return "nobody: what no domain was given stays out of reach of all"
    if plan.hypervisor is not None:
        asked = (
            f"{one.domain.name} {words.size(_memory(one.domain))}"
            for one in plan.domains
            if one.domain.kernel is not None
        )
        return f"{plan.modules[plan.hypervisor.module].name}, which makes domains of it: {', '.join(asked)}"
    built = [one.domain.name for one in plan.domains if one.protocol]
    return f"domain {', '.join(built)}, which has the machine for itself"
