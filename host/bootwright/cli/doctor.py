"""What `doctor` shows: what of other packages is there, and whether building and booting work on this machine."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bootwright.cli.tools import TOOLS
from bootwright.common import paths
from bootwright.common.columns import aligned
from bootwright.common.errors import BootwrightError, ToolError
from bootwright.common.tool import Needed, Tool

OK, MISSING, BROKEN, ABSENT = "ok", "missing", "broken", "not there"
# The demo's boots: by what, on which firmware.
_BOOTS = (("kernel", "bios"), ("disk-virtio", "bios"), ("efi", "uefi"))
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Finding:
    """A line of what was found. verdict: OK; MISSING or BROKEN where something cannot be done; ABSENT where all can be
    done without it. package: what to install, "" for nothing.
    """

    what: str
    verdict: str
    says: str
    package: str = ""


def run(fast: bool, as_json: bool) -> bool:
    """Look, show, and say whether all that is needed works. fast: without building and booting anything."""
    found: list[Finding] = []
    for finding in _findings(fast):
        found.append(finding)
        if not as_json:
            print(aligned([(f"{finding.what:<24}", f"{finding.verdict:<9}", finding.says)])[0], flush=True)
    packages = sorted({one.package for one in found if one.package})
    works = all(one.verdict in (OK, ABSENT) for one in found)
    if as_json:
        print(json.dumps({"works": works, "found": [asdict(one) for one in found], "packages": packages}, indent=2))
        return works
    if packages:
        print(f"what is missing: apt install {' '.join(packages)}")
    print("all that is needed works" if works else "not all works: see above")
    return works


def _findings(fast: bool) -> Iterator[Finding]:
    for needed in TOOLS:
        yield _tool(needed)
    yield _rights()
    yield _kvm()
    if not fast:
        yield from _trial()


def _tool(needed: Needed) -> Finding:
    if not needed.is_installed():
        return Finding(needed.name, ABSENT if needed.optional else MISSING, needed.does, needed.package)
    if not isinstance(needed, Tool):
        return Finding(needed.name, OK, needed.does)
    try:
        return Finding(needed.name, OK, f"{needed.version()}: {needed.does}")
    except ToolError as error:
        return Finding(needed.name, BROKEN, str(error), needed.package)


def _rights() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", OK, "flash writes to devices, serve answers in the network")
    return Finding("root", ABSENT, "flash to devices and serve want root; all else does not")


def _kvm() -> Finding:
    device = Path("/dev/kvm")
    if not device.exists():
        return Finding("kvm", ABSENT, f"there is no {device}; run takes longer without (--accelerator tcg)")
    if not os.access(device, os.R_OK | os.W_OK):
        return Finding("kvm", ABSENT, f"{device} may not be opened by this user: the group kvm may")
    return Finding("kvm", OK, "run --accelerator kvm")


def _trial() -> Iterator[Finding]:
    """The demo built and booted, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder, paths.outputs_in(Path(folder)):
        yield _tried("build", _build)
        for via, firmware in _BOOTS:
            yield _tried(f"boot: {via}, {firmware}", partial(_boot, via, firmware))


def _tried(what: str, work: Callable[[], str]) -> Finding:
    started = time.monotonic()
    try:
        said = work()
    except BootwrightError as error:
        return Finding(what, BROKEN, str(error))
    return Finding(what, OK, f"{said} ({time.monotonic() - started:.1f} s)")


def _build() -> str:
    from bootwright.image import build as image_build

    built = image_build.build(paths.description("demo"), lambda stage: None)
    return f"Keystone, LIEF and the linker make the demo, build {built.build_id[:8]}"


def _boot(via: str, firmware: str) -> str:
    from bootwright.emulate import run
    from bootwright.emulate.qemu import Outcome
    from bootwright.image import built as image_built

    found = image_built.load(paths.output("demo") / "demo.json")
    result = run.boot(found, run.Options(via=via, firmware=firmware, timeout=_TIMEOUT), lambda text: None)
    if result.outcome is not Outcome.AS_EXPECTED:
        raise ToolError(f"the demo did not boot: {result.reason}")
    return "the demo boots, and powers off"
