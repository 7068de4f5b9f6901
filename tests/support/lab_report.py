"""The report of a machine in a lab, as the probe prints it, for tests to change."""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Callable
from typing import Any

from bootwright.common import abi

ABI = abi.load()
BEGIN, END = (ABI.strings[name] for name in ("PROBE_BEGIN", "PROBE_END"))

DOCUMENT: dict[str, Any] = {
    "format": 2,
    "memory": [
        {"start": "0x0", "size": "0x9fc00", "type": 1},
        {"start": "0xf0000", "size": "0x10000", "type": 2},
        {"start": "0x100000", "size": "0xff00000", "type": 1},
    ],
    "acpi": {
        "revision": 2,
        "oem": "ACME  ",
        "rsdt": "0x7fe0000",
        "xsdt": "0x7fe1000",
        "tables": [
            {
                "signature": "XSDT",
                "address": "0x7fe1000",
                "length": 76,
                "oem": "ACME  ",
                "oem_table": "LAB     ",
            },
            {"signature": None, "address": "0x100000000"},
        ],
    },
    "processors": [{"apic_id": number, "uid": number, "flags": "0x1"} for number in range(4)],
    "cpus": 4,
    "cpuid": [{"leaf": "0x1", "subleaf": 0, "eax": "0x1", "ebx": "0x2", "ecx": "0x3", "edx": "0x4"}],
    "msrs": [{"msr": "0x1b", "value": "0xfee00900"}, {"msr": "0xc0010114", "value": None}],
    "cpu": {
        "vendor": "GenuineIntel",
        "brand": "Lab CPU",
        "family": 6,
        "model": 158,
        "stepping": 10,
        "hypervisor": "",
        "microcode": "0xf0",
    },
    "smbios": {
        "entry": "0xf0000",
        "bios_vendor": "ACME",
        "bios_version": "1.0",
        "manufacturer": "ACME",
        "product": 'Lab "One"',
        "serial": "S-1",
    },
    "framebuffer": {
        "address": "0x80000000",
        "pitch": 5120,
        "width": 1280,
        "height": 800,
        "bpp": 32,
        "type": 1,
        "colours": [16, 8, 8, 8, 0, 8],
    },
    "booted": {"protocol": "multiboot2", "loader": "bootwright", "cmdline": "", "efi": "0x0"},
}

# The same as it was reported in format 1.
OLD: dict[str, Any] = {key: value for key, value in DOCUMENT.items() if key not in ("processors", "msrs")}
OLD |= {"format": 1, "cpuid": [{key: leaf[key] for key in leaf if key != "subleaf"} for leaf in DOCUMENT["cpuid"]]}

STUB_LINES = """\
bootwright: image probe build 0123abcd at [0x100000, 0x151000), entered by multiboot2 from GRUB 2.06-13
bootwright: cpu: Lab CPU, long mode
bootwright: memory: 3 ranges, 255 MiB of RAM, RSDP at 0x7fe2000
"""


def marked(document: Any = DOCUMENT, text: str | None = None) -> str:
    body = json.dumps(document, indent=1) + "\n" if text is None else text
    return f"{BEGIN}{body}{END}CRC-32 {zlib.crc32(body.encode()):#x}\n"


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document
