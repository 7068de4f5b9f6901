"""Flattened device trees, as the Devicetree Specification has them, of dicts; nothing here shares code with
host/bootwright."""

from __future__ import annotations

import struct
from typing import Any

from machine import C

Node = dict[str, Any]  # properties are bytes, nodes are dicts


def cells(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def strings(*texts: str) -> bytes:
    return b"".join(text.encode() + b"\0" for text in texts)


def blob(root: Node, version: int = 17) -> bytes:
    """A flattened tree, as the Devicetree Specification has it."""
    names = bytearray()

    def pad(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    def node(name: str, content: Node) -> bytes:
        out = cells(1) + pad(name.encode() + b"\0")
        for key, value in content.items():
            if isinstance(value, bytes):
                out += cells(3, len(value), len(names)) + pad(value)
                names.extend(key.encode() + b"\0")
        out += cells(4)
        for key, value in content.items():
            if isinstance(value, dict):
                out += node(key, value)
        return out + cells(2)

    structure = node("", root) + cells(9)
    start = 40 + 16
    head = cells(
        0xD00DFEED,
        start + len(structure) + len(names),
        start,
        start + len(structure),
        40,
        version,
        16,
        0,
        len(names),
        len(structure),
    )
    return head + bytes(16) + structure + bytes(names)


def module(kind: str, index: int, bootargs: str | None = None, old: bool = False) -> Node:
    content: Node = {"compatible": strings(f"module,{kind}", "module,index"), "module-index": cells(index)}
    if old:
        content = {"compatible": strings(f"multiboot,{kind}", "multiboot,module"), "mb-index": cells(index)}
    return content | ({} if bootargs is None else {"bootargs": strings(bootargs)})


def domain(**changes: Any) -> Node:
    """A PVH dom0 of modules 1 and 2; a value of None takes a property away."""
    content: Node = {
        "compatible": strings("xen,domain"),
        "domid": cells(0),
        "permissions": cells(3),
        "functions": cells(C["FUNCTION_INITIAL_DOMAIN"]),
        "mode": cells(4),
        "memory": strings("16M"),
        "cpus": cells(1),
        "kernel@1": module("kernel", 1, "quiet"),
        "ramdisk@2": module("ramdisk", 2),
    } | {key.replace("_", "-"): value for key, value in changes.items()}
    return {key: value for key, value in content.items() if value is not None}


def tree(*domains: Node, **more: Any) -> Node:
    nodes = {f"domain@{number}": node for number, node in enumerate(domains)}
    return {
        "other": {"compatible": strings("x")},
        "chosen": {
            "stdout-path": strings("/"),
            "hypervisor": {"compatible": strings("hypervisor,xen", "xen,x86"), **nodes, **more},
        },
    }
