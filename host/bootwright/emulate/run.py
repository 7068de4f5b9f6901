"""`bootwright run`: an image on a machine under QEMU, by one of the media."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from bootwright.common import asciicast, paths
from bootwright.common.errors import RunError
from bootwright.common.messages import shown_build
from bootwright.common.words import none_of
from bootwright.description import values
from bootwright.emulate import debug, qemu, secure_boot
from bootwright.image.built import Built
from bootwright.media import BOOT_METHODS, BootMethod

# What a firmware keeps of the machine's memory for itself, at most.
FIRMWARE_MEMORY = 64 << 20
# Seconds that a person at a debugger has at least.
DEBUGGING = 3600.0
LONGEST = float(values.MAX_WAIT)


@dataclass(frozen=True)
class Options:
    """How to boot.

    via: one of `methods`, which are those of media, or of a finished file (media.of_file); expect: nothing for a guest
    that powers off; timeout in seconds; memory in bytes, and cpus, None for what the image needs; cpu: QEMU's model of
    them, "" for one that the image needs; keep_log: gets what the serial console showed; record: the same with times,
    as an asciicast; gdb: wait for a debugger (debug); fail: texts that end it; qemu_args: put behind QEMU's own;
    secure_boot: on a firmware that knows the certificate of the image's signature; keyboard: as in qemu.run.
    """

    via: str = "kernel"
    expect: str | Sequence[str] | None = None
    timeout: float = 120.0
    memory: int | None = None
    cpus: int | None = None
    cpu: str = ""
    firmware: str = "bios"
    accelerator: str = "tcg"
    keep_log: Path | None = None
    record: Path | None = None
    gdb: bool = False
    fail: Sequence[str] = ()
    qemu_args: Sequence[str] = ()
    secure_boot: bool = False
    keyboard: int | None = None
    methods: Mapping[str, BootMethod] = field(default_factory=lambda: BOOT_METHODS)

    def __post_init__(self) -> None:
        """Raises RunError for a way to boot that does not exist."""
        for what, value, known in (
            ("via", self.via, tuple(self.methods)),
            ("firmware", self.firmware, qemu.FIRMWARE),
            ("accelerator", self.accelerator, qemu.ACCELERATORS),
        ):
            if value not in known:
                raise RunError(f"{what}: {none_of(value, known)}")
        way = self.methods[self.via]
        if self.firmware not in way.firmware:
            raise RunError(f"via {self.via}: boots on {', '.join(sorted(way.firmware))} only: {way.reason}")
        if self.secure_boot and self.firmware != "uefi":
            raise RunError("secure-boot: it is UEFI's, so say --firmware uefi")
        if self.cpus is not None and self.cpus < 1:
            raise RunError(f"cpus: {self.cpus} must be more than 0")
        if not 0 < self.timeout <= values.MAX_WAIT:  # NaN is neither
            raise RunError(f"timeout: {self.timeout:g} must be more than 0, and at most {values.MAX_WAIT} seconds")


def usual(methods: Mapping[str, BootMethod], via: str, firmware: str) -> tuple[str, str]:
    """Options.via and firmware, each as it is said, or else the first that there is. What is not known passes."""
    via = via or next(iter(methods))
    there = methods[via].firmware if via in methods else qemu.FIRMWARE
    return via, firmware or next(one for one in qemu.FIRMWARE if one in there)


def amount(text: str, what: str) -> int:
    """Bytes of an amount as in descriptions, or of a number of MiB. Raises RunError for anything else, which calls
    it `what`, and for more than a machine can have.
    """
    size = values.amount(f"{text}M" if text.isdecimal() else text)
    if not size:
        raise RunError(f"{what}: {text!r} is no amount such as 512M or 2G")
    if size > values.MAX_MEMORY:
        raise RunError(f"{what}: {text!r} is more than {values.MAX_MEMORY >> 40}T")
    return size


def _memory(built: Built, firmware: str) -> int:
    """Bytes of memory that a machine needs to boot the image."""
    if firmware == "bios":
        return built.machine_memory + FIRMWARE_MEMORY
    # UEFI holds an application twice while it loads it, below what the firmware itself needs.
    return built.machine_memory + 2 * FIRMWARE_MEMORY + 2 * built.elf.stat().st_size


def notes(built: Built) -> list[str]:
    """Sentences about what a run of the image does not show."""
    port = built.serial_port
    if port is None or port in qemu.SERIAL_PORTS:
        return []
    return [f"QEMU's machine has no serial port at {port:#x}, so what the stub prints there is not seen"]


def boot(
    built: Built,
    options: Options,
    show: Callable[[str], None],
    inspect: qemu.Inspect | None = None,
) -> qemu.Result:
    """Boot an image and watch its serial console; show is given the console's text as it comes, inspect is
    qemu.run's.

    Raises ToolError for a program that is missing or fails.
    """
    memory = _memory(built, options.firmware) if options.memory is None else options.memory
    cpus = built.machine_cpus if options.cpus is None else options.cpus
    plain = qemu.Machine(memory, cpus, options.firmware, options.accelerator, built.svm, options.cpu)
    # First what can be missing, then what takes time.
    qemu.command(plain, [])
    with (
        _secure(plain, built) if options.secure_boot else nullcontext(plain) as machine,
        options.methods[options.via].attach(built, options.firmware) as medium,
        options.keep_log.open("w", encoding="utf-8") if options.keep_log else nullcontext() as log,
        asciicast.writing(options.record, _title(built, options)) if options.record else nullcontext() as record,
    ):
        arguments = qemu.command(machine, medium)
        arguments += options.qemu_args
        if options.gdb:
            arguments += debug.arguments(debug.socket_of(built))

        def see(text: str) -> None:
            show(text)
            if log is not None:
                log.write(text)
            if record is not None:
                record.add(text)

        result = qemu.run(
            arguments,
            expect=options.expect,
            timeout=max(options.timeout, DEBUGGING) if options.gdb else options.timeout,
            show=see,
            directory=built.elf.parent,
            inspect=inspect,
            serial_port=built.serial_port,
            fail=options.fail,
            keyboard=options.keyboard,
        )
        if record is not None:
            record.mark(result.reason)
        return result


@contextmanager
def _secure(machine: qemu.Machine, built: Built) -> Iterator[qemu.Machine]:
    """The machine with Secure Boot, on which the certificate of the image's signature is known."""
    if built.origin is None or not built.origin.options.certificate:
        raise RunError(f"secure-boot: {built.name} is not signed: build it by `image` with --sign KEY --cert CERT")
    code = secure_boot.code()
    with tempfile.TemporaryDirectory(prefix="variables-") as folder:
        variables = Path(folder) / "variables.fd"
        secure_boot.write_variables(paths.root() / built.origin.options.certificate, variables)
        yield replace(machine, secure=(code, variables))


def _title(built: Built, options: Options) -> str:
    return (
        f"{built.name} build {shown_build(built.build_id)} by {options.via}, {options.firmware}, {options.accelerator}"
    )
