"""What the tests of device trees share: hypothesis strategies for descriptions and blobs, and small trees."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st
from project import TESTS

from bootwright.common.abi import load as load_abi
from bootwright.description import roles, schema
from bootwright.description.load import (
    Console,
    Description,
    DomainDescription,
    FileSource,
    HypervisorDescription,
    ImageDescription,
    PackageSource,
)
from bootwright.description.values import DEFAULT_SBAT, HandedModule
from bootwright.devicetree import bindings, fdt
from bootwright.devicetree.bindings import cells, text
from bootwright.devicetree.fdt import Node

C = load_abi().constants
TREES = TESTS / "trees"
PAGE = C["PAGE_SIZE"]

NAME = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,40}", fullmatch=True)
WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
PATH = st.builds(FileSource, WORD)
PACKAGE = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,10}", fullmatch=True)
PATTERN = WORD.filter(lambda word: not word.startswith("/") and ".." not in word.split("/"))
KERNEL = PATH | st.builds(PackageSource, PACKAGE, PATTERN)
RAMDISK = KERNEL | st.builds(PackageSource, PACKAGE, PATTERN, WORD)
CMDLINE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40)
MEMORY = st.integers(1, 1 << 31).map(lambda pages: pages * PAGE) | st.sampled_from([64 << 20, 1 << 30, 1 << 40])
CONSOLE = st.builds(
    Console, st.sampled_from([0x3F8, 0x2F8, 0x400, 0xFFF8]), st.sampled_from([1, 2, 12]), st.booleans()
) | st.just(Console(None, 1, True))
BITS = {prefix: sum(roles.bits(prefix).values()) for prefix in ("PERMISSION_", "FUNCTION_")}
INITIAL = C["FUNCTION_INITIAL_DOMAIN"]


@st.composite
def domains(draw: st.DrawFn, index: int, name: str, xen: bool) -> DomainDescription:
    """One domain; the one at index 0 is the initial domain."""
    memory = draw(MEMORY)
    kernel = draw(KERNEL) if index == 0 else draw(st.none() | KERNEL)
    functions = draw(st.integers(0, 0xFFFFFFFF)) & BITS["FUNCTION_"] & ~INITIAL
    return DomainDescription(
        name=name,
        memory=memory,
        permissions=draw(st.integers(0, 3)),
        functions=functions | (INITIAL if index == 0 else 0),
        mode="pv" if xen else "pvh",
        protocol="auto" if xen else draw(st.sampled_from(["auto", "pvh", "linux", "multiboot1", "multiboot2"])),
        domid=0 if index == 0 else draw(st.sampled_from([0, index + 5])),
        uuid=draw(st.just(bytes(16)) | st.binary(min_size=16, max_size=16)),
        cpus=draw(st.integers(1, 4096)),
        memory_min=draw(st.none() | st.just(PAGE)),
        memory_max=draw(st.none() | st.just(1 << 46)),
        security_id=draw(st.just("") | st.text("abc_:é ", max_size=30)),
        kernel=kernel,
        ramdisk=draw(st.none() | RAMDISK),
        device_tree=draw(st.none() | KERNEL),
        config=draw(st.none() | KERNEL),
        cmdline=draw(CMDLINE) if kernel is not None else "",
        modules=() if xen else tuple(draw(st.lists(st.builds(HandedModule, RAMDISK, CMDLINE), max_size=3))),
    )


@st.composite
def descriptions(draw: st.DrawFn) -> Description:
    """Any description that load would accept, as if it stood in images/lab.toml."""
    xen = draw(st.booleans())
    names = draw(st.lists(NAME | st.sampled_from(["config", "config-0"]), min_size=1, max_size=5, unique=True))
    image = ImageDescription(
        name=draw(NAME),
        launcher="xen" if xen else "native",
        console=draw(CONSOLE),
        log=draw(st.sampled_from(schema.LOG_LEVELS)),
        on_failure=draw(st.none() | st.integers(0, 3600)),
        pack=draw(st.sampled_from(schema.PACKS)),
        modules=draw(st.sampled_from(schema.MODULES)),
        verify=draw(st.booleans()),
        sbat=draw(st.sampled_from([("lab,7,Lab,x,1,none",), ("a,1,b,c,d,e", "f,65535,g,h,i,j"), DEFAULT_SBAT])),
    )
    made = tuple(draw(domains(index, name, xen)) for index, name in enumerate(names))
    hypervisor = None
    if xen:
        own = draw(st.none() | KERNEL), draw(st.none() | KERNEL)
        hypervisor = HypervisorDescription(draw(KERNEL), draw(CMDLINE), draw(st.booleans()), *own)
    return Description(Path("images/lab.toml"), image, made, hypervisor)


@st.composite
def damaged(draw: st.DrawFn, blob: bytes) -> bytes:
    """A blob with some bytes, words or lengths changed, or cut short."""
    changed = bytearray(blob)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed) - 1))
        if draw(st.booleans()):
            changed[at] = draw(st.integers(0, 255))
        else:
            word = draw(st.sampled_from([0, 1, 2, 3, 4, 9, 5, 0xFFFFFFFF, 0x7FFFFFFF, len(blob), 16, 17]))
            changed[at & ~3 : (at & ~3) + 4] = struct.pack(">I", word)
    return bytes(changed[: draw(st.just(len(changed)) | st.integers(0, len(changed)))])


def hyperlaunch(*children: Node, **properties: bytes) -> Node:
    """A tree with these nodes in /chosen/hypervisor."""
    compatible = {"compatible": text(bindings.HYPERVISOR, bindings.ARCHITECTURE)}
    hypervisor = Node("hypervisor", {**compatible, **properties}, children)
    return Node("", {}, (Node("chosen", {}, (hypervisor,)),))


def domain(*modules: Node, name: str = "dom0", **properties: bytes) -> Node:
    """A domain's node; property names with _ for a dash."""
    given = {key.replace("_", "-"): value for key, value in properties.items()}
    return Node(name, {"compatible": text("xen,domain"), **given}, modules)


def module(kind: str = "module,kernel", way: str = "module,index", name: str = "kernel", **more: bytes) -> Node:
    """A module's node, by default module 1."""
    given = {key.replace("_", "-"): value for key, value in more.items()} or {"module-index": cells(1)}
    return Node(name, {"compatible": text(kind, way), **given})


def nodes(tree: Node) -> Iterable[Node]:
    """All nodes of a tree."""
    yield tree
    for child in tree.children:
        yield from nodes(child)


def blob(tree: Node) -> bytes:
    """The tree as bytes."""
    return fdt.write(tree)
