"""What an error of the stub means, what usually causes it and what to try; and where the boot of a captured log ended.

    one = find("E0404")                     # Explanation, from the comment behind its sentence in stub/abi/errors.h
    for found in read(text).errors:         # each error in a log, with its values put in
        print(found.means, found.causes, found.tries)
    read(text).stage                        # the last that was reached, where there is no error

A capture of a serial line may have anything between the stub's lines, and a terminal's line ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from bootwright.common.abi import BootError, stub_directory
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import SourceError, Where
from bootwright.common.messages import pattern

_BEHIND = re.compile(r"^#define (E_\w+)_TEXT[^\n]*\n/\*(.*?)\*/", re.MULTILINE | re.DOTALL)
_HERE = Where("stub/abi/errors.h")
_KEYS = ("values", "means", "causes", "try")
_VALUE = re.compile(r"%([uxs])")
_FORMS = {"u": "([0-9]+)", "x": "(0x[0-9a-f]+)", "s": "(.+?)"}


@dataclass(frozen=True)
class Explanation:
    """Of one error. sentence: with values; values: of these by name: an example's, or those of a log."""

    error: BootError
    sentence: str
    values: Mapping[str, str]
    means: str
    causes: tuple[str, ...]
    tries: tuple[str, ...]

    @property
    def number(self) -> str:
        """As the stub prints it: "E0404"."""
        return f"E{self.error.number:04x}"


@dataclass(frozen=True)
class Stage:
    """A stage of a boot: the messages of stub/abi/messages.h that its lines are made of; what is done in it; what it
    usually is when nothing follows.
    """

    name: str
    messages: tuple[str, ...]
    does: str
    silent: tuple[str, ...]


STAGES = (
    Stage(
        "entry",
        ("M_ENTRY", "M_CPU", "M_SCREEN", "M_BOOT_DEVICE", "M_UNCACHED"),
        "the stub was entered and takes over what the loader hands over",
        ("a loader's information that sends the stub astray: another loader, or another way of booting",),
    ),
    Stage(
        "tables",
        ("M_TABLES", "M_MEMORY", "M_RANGE"),
        "the tables were read and the memory map put in order",
        ('a memory map with what is no RAM: boot once with `log = "debug"` and compare it with the machine\'s',),
    ),
    Stage(
        "modules",
        ("M_MODULE", "M_MODULE_MOVED", "M_CHECKING", "M_MODULE_LEFT", "M_FALLBACK", "M_RAMDISKS", "M_DEVICE_TREE"),
        "the modules are found, and checked by SHA-256 where `verify` says so",
        ("large modules on a slow or uncached machine: wait, a sign of life comes now and then",),
    ),
    Stage(
        "builder",
        ("M_HYPERVISOR", "M_BUILDER", "M_DOMAIN", "M_CMDLINE", "M_LOADING", "M_KERNEL_MOVED", "M_BUILT", "M_HWDOM"),
        "the domain builder unpacks kernel and ramdisk to their places",
        ('memory that the map calls RAM and that is none: boot once with `log = "debug"`, test the memory',),
    ),
    Stage(
        "launch",
        ("M_LAUNCH",),
        "what is launched was entered; from here on its own messages say what happens",
        (
            "its command line names another console than the one that is looked at: Linux: console=ttyS0,115200 "
            "and earlyprintk=serial,ttyS0,115200; Xen: console=com1 com1=115200,8n1",
            "it was built for another machine: boot the same kernel by GRUB alone",
            "the CRC-32 in the launch line is that of what it was told: `plan NAME --machine M` computes the same",
        ),
    ),
    Stage(
        "partition",
        ("M_PARTITION", "M_PARTITION_CPUS", "M_PARTITION_TABLES", "M_PARTITION_BANK", "M_PARTITION_SHARE"),
        "the resident part prepares cpus and memory of the domains",
        ("a cpu that does not start: `cpu-ids` with others",),
    ),
    Stage(
        "partition launched",
        ("M_PARTITION_LAUNCH",),
        "all domains of the partition run",
        ("their own command lines name another console: com1 is each domain's virtual one",),
    ),
)


@dataclass(frozen=True)
class Reading:
    """What a log says: the errors in their order; the last stage that was reached, None where no line is the stub's;
    the stub's last line; what it said of the boot before this one, "" for nothing, and the error of that.
    """

    errors: tuple[Explanation, ...]
    stage: Stage | None
    last_line: str
    before: str = ""
    before_error: Explanation | None = None


@cache
def all_explanations() -> tuple[Explanation, ...]:
    """Every error in order of its number, with its example's values. Raises SourceError for one without a comment."""
    return tuple(_explained(error, _comments()[error.name]["values"]) for error in load_abi().errors)


def find(name: str) -> Explanation:
    """That of "E0404", "404", "0x404" or "E_TOO_LITTLE_MEMORY". Raises SourceError for none."""
    wanted = name.strip().upper()
    number = wanted.removeprefix("0X").removeprefix("E")
    for one in all_explanations():
        if wanted in (one.error.name, one.error.name.removeprefix("E_")) or number.zfill(4) == one.number[1:].upper():
            return one
    raise SourceError(f"{name}: is no number of an error; `invoke explain` lists them all")


def read(text: str) -> Reading:
    """What a captured console says. Pure: raises nothing for whatever text."""
    errors: list[Explanation] = []
    stage, last = None, ""
    before, before_error = "", None
    for line in re.split(r"[\r\n]+", text):
        if found := _in_line(line):
            errors.append(found)
        here = line.find(load_abi().strings["M_PREFIX"])
        if here >= 0:
            last = line[here:]
            stage = _stage_of(last) or stage
            if failed := pattern("M_LAST_BOOT_FAILED").fullmatch(last):
                before, before_error = last, _of_number(int(failed[2], 16))
            elif pattern("M_LAST_BOOT").fullmatch(last):
                before, before_error = last, None
    return Reading(tuple(errors), stage, last, before, before_error)


def _of_number(number: int) -> Explanation | None:
    return next((_explained(error, "") for error in load_abi().errors if error.number == number), None)


def _in_line(line: str) -> Explanation | None:
    """The error that a line has, with the values of that line."""
    match = re.search(re.escape(load_abi().strings["M_PREFIX"]) + r"E([0-9a-f]{4}): (.*)", line)
    if match is None:
        return None
    for error in load_abi().errors:
        if error.number == int(match[1], 16):
            values = _sentence_pattern(error.text).match(match[2].rstrip())
            names = _listed(_comments()[error.name]["values"])
            if values is None:  # cut short, or of another version
                return replace(_explained(error, ""), sentence=match[2].rstrip())
            given = zip((name.partition("=")[0] for name in names), values.groups(), strict=True)
            return _explained(error, "; ".join(f"{name}={value}" for name, value in given))
    return None


def _stage_of(line: str) -> Stage | None:
    return next((stage for stage in STAGES if any(pattern(name).fullmatch(line) for name in stage.messages)), None)


@cache
def _sentence_pattern(text: str) -> re.Pattern[str]:
    parts = re.split("(%[uxs])", text)
    return re.compile("".join(_FORMS[part[1]] if _VALUE.fullmatch(part) else re.escape(part) for part in parts) + "$")


def _explained(error: BootError, values: str) -> Explanation:
    """An error with values, "name=value; ..."; "" for what they are called in place of them."""
    said = _comments()[error.name]
    known = dict(part.split("=", 1) for part in _listed(values))
    names = [part.partition("=")[0] for part in _listed(said["values"])]
    shown = known or {name: f"<{name}>" for name in names}
    left = iter(shown.values())
    try:
        return Explanation(
            error,
            _VALUE.sub(lambda match: next(left), error.text),
            known,
            said["means"].format_map(shown),
            tuple(_listed(said["causes"].format_map(shown))),
            tuple(_listed(said["try"].format_map(shown))),
        )
    except (KeyError, StopIteration) as wrong:
        raise SourceError(f"{error.name}: its comment and its sentence name other values: {wrong!r}", _HERE) from wrong


@cache
def _comments() -> Mapping[str, Mapping[str, str]]:
    """What stands behind each sentence, by _KEYS. Raises SourceError where something is missing."""
    text = (stub_directory() / "abi" / "errors.h").read_text(encoding="utf-8")
    found = {}
    for name, comment in _BEHIND.findall(text):
        plain = " ".join(line.strip().removeprefix("*").strip() for line in comment.splitlines()).strip()
        parts = re.split(rf"(?:^|(?<= ))({'|'.join(_KEYS)}): ", plain)
        found[name] = {"values": ""} | dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
    for error in load_abi().errors:
        for key in _KEYS:
            if not found.get(error.name, {}).get(key) and (key != "values" or "%" in error.text):
                raise SourceError(f"{error.name}: its comment has no {key!r}", _HERE)
    return found


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
