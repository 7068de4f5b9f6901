"""A device tree among the modules of a loader, and what the reference reads from it."""

from __future__ import annotations

from dataclasses import replace

import trees

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure
from bootwright.devicetree import fdt
from bootwright.devicetree.fdt import Node
from bootwright.hyperlaunch.model import BootInfo, BootModule
from bootwright.reference import tree_reader

ABI = load_abi()
C = ABI.constants
TREE, OTHERS = 0x500000, 0x600000
STRINGS = ("", "vmlinuz quiet", "initrd")


def info(count: int = 3) -> BootInfo:
    """What a loader hands over: the tree as module 0, and others."""
    mods = [
        BootModule(0, 0x1000, OTHERS + 0x1000 * i, STRINGS[i % 3], 1 if i % 3 else 0, name=f"module{i}")
        for i in range(count)
    ]
    return BootInfo((replace(mods[0], start=TREE), *mods[1:]))


def reference(raw: bytes, given_info: BootInfo) -> str | BootInfo | None:
    try:
        return tree_reader.read_tree(raw, given_info)
    except BootFailure as failure:
        return failure.message


def tree(*children: Node) -> bytes:
    return fdt.write(trees.hyperlaunch(*children))
