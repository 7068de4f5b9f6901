"""What a stored image says of itself, as one record for JSON, and as text made of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bootwright.artifact.difference import differences
from bootwright.artifact.stored import StoredImage, StoredModule
from bootwright.common import abi
from bootwright.common.columns import aligned
from bootwright.common.errors import format_range
from bootwright.common.messages import shown_build
from bootwright.description import roles
from bootwright.image.image_map import kind_of
from bootwright.kernels import protocols
from bootwright.plan.records import Plan, PlannedDomain

_LOG = ("quiet", "normal", "debug")


def record(image: StoredImage, check: bool = True) -> dict[str, Any]:
    """All that is known of an image, for JSON; check: whether the modules' bytes are hashed. OSError passes."""
    said = image.manifest
    return {
        "form": image.form,
        "name": image.name,
        "build_id": image.build_id,
        "place": [image.place.start, image.place.end],
        "bootwright": {"version": said.tool.version, "sha256": said.tool.sha256},
        "description": {"file": said.description, "text": said.text},
        "inputs": [
            {"path": one.path, "size": one.size, "sha256": one.sha256, "package": one.package} for one in said.inputs
        ],
        "changes": list(said.changes),
        "signature": _signature(image),
        "room_for_tables": image.tables.size,
        "settings": _settings(image.plan) if image.plan else {},
        "hypervisor": _hypervisor(image.plan) if image.plan else None,
        "domains": [_domain(one, image.plan) for one in image.plan.domains] if image.plan else [],
        "profiles": [_profile(one) for one in image.plan.profiles] if image.plan else [],
        "modules": [_module(one, check) for one in image.modules],
    }


def _profile(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.image.profile,
        "title": plan.image.profile_title.removeprefix(": "),
        "settings": _settings(plan),
        "hypervisor": _hypervisor(plan),
        "domains": [_domain(one, plan) for one in plan.domains],
    }


def _signature(image: StoredImage) -> dict[str, Any] | None:
    if image.form != "efi":
        return None
    size = image.signature.size
    return {"state": f"signed, {size} bytes of signatures" if size else "not signed", "size": size}


def _settings(plan: Plan) -> dict[str, Any]:
    constants, image = abi.load().constants, plan.image
    return {
        "profile": image.profile or None,
        "menu_seconds": image.menu_seconds or None,
        "serial_port": image.serial_port if image.console & constants["CONSOLE_SERIAL"] else None,
        "baud": 115200 // image.serial_divisor if image.serial_divisor else None,
        "vga": bool(image.console & constants["CONSOLE_VGA"]),
        "log": _LOG[image.log] if image.log < len(_LOG) else image.log,
        "reboot_seconds": image.reboot_seconds if image.on_failure else None,
    }


def _hypervisor(plan: Plan) -> dict[str, Any] | None:
    if plan.hypervisor is None:
        return None
    found = plan.hypervisor
    return {
        "kernel": plan.modules[found.module].name,
        "protocol": protocols.name(found.protocol),
        "entry": found.entry,
        "cmdline": found.cmdline,
    }


def _domain(one: PlannedDomain, plan: Plan) -> dict[str, Any]:
    domain = one.domain
    page = abi.load().constants["PAGE_SIZE"]
    mode = next((word for word, number in roles.modes().items() if number == domain.mode), f"{domain.mode:#x}")
    return {
        "name": domain.name,
        "domid": domain.domid,
        "permissions": roles.words("PERMISSION_", domain.permissions),
        "functions": roles.words("FUNCTION_", domain.functions),
        "mode": mode,
        "memory": domain.mem_size.pages(0) * page,
        "cpus": domain.ncpus,
        "protocol": protocols.name(one.protocol),
        "entry": one.entry,
        "modules": {key: plan.modules[mod].name for key, mod in domain.modules.items()},
        "cmdline": plan.modules[domain.kernel].string if domain.kernel is not None else "",
    }


def _module(one: StoredModule, check: bool) -> dict[str, Any]:
    planned = one.planned
    lz4 = any(piece.method == abi.load().constants["PACK_LZ4"] for piece in planned.pieces)
    return {
        "name": planned.name,
        "kind": kind_of(planned),
        "pack": "lz4" if lz4 else "stored",
        "size": planned.size,
        "unpacked_size": planned.unpacked_size,
        "sha256": planned.sha256.hex(),
        "load_address": planned.load_address if planned.embedded else None,
        "place": [one.place.start, one.place.end] if one.place else None,
        "right": one.is_right() if check and one.place else None,
    }


def text(said: Mapping[str, Any]) -> str:
    """The lines for people of a record."""
    return "\n".join(_lines(said))


def _lines(said: Mapping[str, Any]) -> Iterator[str]:
    forms = {"elf": "ELF file for multiboot and PVH loaders", "efi": "EFI application"}
    yield f"image {said['name']}, build {shown_build(said['build_id'])}: {forms[said['form']]}"
    rows = [
        ("at", f"{format_range(*said['place'])}, {said['place'][1] - said['place'][0]:,} bytes"),
        ("build id", said["build_id"]),
        ("made by", f"bootwright {said['bootwright']['version']} ({said['bootwright']['sha256'][:12]})"),
        ("described by", said["description"]["file"]),
    ]
    if said["signature"]:
        rows.append(("signature", said["signature"]["state"]))
    if said["settings"]:
        rows.append(("console", _console(said["settings"])))
    rows += [("changed", change) for change in said["changes"]]
    yield from (f"  {line}" for line in aligned(rows))
    if said["hypervisor"]:
        found = said["hypervisor"]
        yield f"  hypervisor {found['kernel']}, entered by {found['protocol']} at {found['entry']:#x}"
        yield f"    cmdline {found['cmdline']}"
    for domain in said["domains"]:
        yield from _domain_lines(domain)
    for profile in said["profiles"]:
        yield from _profile_lines(said, profile)
    if not said["domains"]:
        yield "  generic: the loader's modules say what to boot"
    if said["modules"]:
        yield "  modules"
        head = ("name", "kind", "packed as", "bytes", "unpacked", "", "SHA-256 (as packed)")
        cells = [
            (m["name"], m["kind"], m["pack"], f"{m['size']:,}", f"{m['unpacked_size']:,}", _state(m), m["sha256"])
            for m in said["modules"]
        ]
        yield from (f"    {line}" for line in aligned([head, *cells], right=(3, 4)))


def _console(settings: Mapping[str, Any]) -> str:
    serial = f"port {settings['serial_port']:#x}, {settings['baud']} baud" if settings["serial_port"] else ""
    shown = ", ".join(filter(None, [serial, "screen" if settings["vga"] else ""])) or "none"
    failure = "halts" if settings["reboot_seconds"] is None else f"reboots after {settings['reboot_seconds']} s"
    return f"{shown}; log {settings['log']}; after an error it {failure}"


def _domain_lines(domain: Mapping[str, Any]) -> Iterator[str]:
    does = ", ".join([*domain["permissions"], *domain["functions"]]) or "no roles"
    yield f"  domain {domain['name']}: {domain['memory'] >> 20} MiB, cpus {domain['cpus']}, {domain['mode']}, {does}"
    for key, name in domain["modules"].items():
        entered = f", entered by {domain['protocol']} at {domain['entry']:#x}" if domain["protocol"] else ""
        yield f"    {key} {name}{entered if key == 'kernel' else ''}"
    if domain["cmdline"]:
        yield f"    cmdline {domain['cmdline']}"


def _profile_lines(said: Mapping[str, Any], profile: Mapping[str, Any]) -> Iterator[str]:
    """What is different in a profile."""
    title = f": {profile['title']}" if profile["title"] else ""
    yield f"  profile {profile['name']}{title}"
    keys = ("settings", "hypervisor", "domains")
    for what, _, theirs in differences(*({key: one[key] for key in keys} for one in (said, profile))):
        if what not in ("settings profile", "settings menu_seconds"):
            yield f"    {what.removeprefix('settings ').removeprefix('domains ')} {theirs}"


def _state(module: Mapping[str, Any]) -> str:
    if module["place"] is None:
        return "the loader's"
    return {True: "right", False: "DAMAGED", None: "not checked"}[module["right"]]
