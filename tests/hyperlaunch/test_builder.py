"""The domain builder: a test for each sentence of the algorithm (docs/domain-builder.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common import abi
from bootwright.hyperlaunch import builder
from bootwright.hyperlaunch.builder import NATIVE, BootFailure, BuiltDomain, Hypervisor, Launcher, Outcome, VcpuState
from bootwright.hyperlaunch.cmdline import Reader
from bootwright.hyperlaunch.model import BootDomain, BootInfo, BootModule, DomainBuilder, MemoryRange, MemorySize

C = abi.load().constants
XEN = Launcher(multi_domain=True, pv=True, pvh=True)
SIZE = MemorySize(C["MEMORY_PAGES"], 16384)
INITIAL, CONSOLE, XENSTORE = C["FUNCTION_INITIAL_DOMAIN"], C["FUNCTION_CONSOLE"], C["FUNCTION_XENSTORE"]


def domain(name: str, functions: int = 0, **more: object) -> BootDomain:
    base = BootDomain(name, 0, functions, C["MODE_LONG"], 0, SIZE, SIZE, SIZE, kernel=0)
    return replace(base, **more)  # type: ignore[arg-type]


def info(*domains: BootDomain, cmdline: str = "quiet", **more: object) -> BootInfo:
    mods = (
        BootModule(C["BOOTMOD_KERNEL"], 1, string=cmdline, string_kind=C["BOOTSTR_CMDLINE"], name="vmlinuz"),
        BootModule(C["BOOTMOD_RAMDISK"], 1, name="initrd"),
    )
    return replace(BootInfo(mods, DomainBuilder(domains)), **more)  # type: ignore[arg-type]


def failure(found: object) -> str:
    assert isinstance(found, BootFailure)
    return str(found)


# Step 1: builder_init


def module(string: str = "", kind: int = 0) -> BootModule:
    return BootModule(kind, 10, string=string, string_kind=C["BOOTSTR_STRING"] if string else 0)


def test_domains_that_are_known_stay() -> None:
    known = info(domain("dom0"))
    assert builder.builder_init(known) is known


def test_a_device_tree_gives_the_domains() -> None:
    read = replace(BootInfo((module(), module())), builder=DomainBuilder((domain("lcm"),), fdt_enabled=True))
    assert builder.builder_init(BootInfo((module(), module())), lambda info: read) is read


def test_a_device_tree_without_the_node_is_fatal() -> None:
    def read(info: BootInfo) -> None:
        raise BootFailure("E_NO_INITIAL_DOMAIN", 0)

    with pytest.raises(BootFailure):
        builder.builder_init(BootInfo((module(),)), read)


def test_fallback_is_one_domain_of_module_0() -> None:
    found = builder.builder_init(BootInfo((module("vmlinuz quiet"), module())), lambda info: None)
    assert found.builder is not None
    (dom0,) = found.builder.domains
    assert dom0.kernel == 0 and found.mods[0].kind == C["BOOTMOD_KERNEL"]
    assert dom0.permissions == C["PERMISSION_CONTROL"] | C["PERMISSION_HARDWARE"]
    assert dom0.functions == CONSOLE | XENSTORE | INITIAL
    assert dom0.is_paravirtualized
    assert found.mods[0].string_kind == C["BOOTSTR_STRING"], "an image name is still in it"


def test_fallback_is_pvh_when_asked_for() -> None:
    found = builder.builder_init(BootInfo((module(),)), dom0_pvh=True)
    assert found.builder is not None and found.builder.domains[0].is_pvh
    assert found.mods[0].string_kind == C["BOOTSTR_EMPTY"]


def test_fallback_without_a_module_is_fatal() -> None:
    with pytest.raises(BootFailure, match="E0601"):
        builder.builder_init(BootInfo(()))


# Step 2: the ramdisk


def test_the_first_unknown_module_becomes_the_ramdisk() -> None:
    start = builder.builder_init(BootInfo((module(), module(kind=C["BOOTMOD_UCODE"]), module(), module())))
    choice = builder.choose_ramdisk(start)
    assert choice.index == 2 and choice.candidates == (2, 3)
    assert choice.info.mods[2].kind == C["BOOTMOD_RAMDISK"]
    assert choice.info.builder is not None and choice.info.builder.domains[0].ramdisk == 2


def test_no_ramdisk_without_a_candidate_or_with_a_device_tree() -> None:
    alone = builder.builder_init(BootInfo((module(),)))
    assert builder.choose_ramdisk(alone).index is None
    known = DomainBuilder((domain("lcm"),), fdt_enabled=True)
    tree = builder.builder_init(BootInfo((module(), module())), lambda start: replace(start, builder=known))
    assert builder.choose_ramdisk(tree).info is tree


# Step 3: builder_create_domains


def test_order_is_xenstore_console_and_the_rest() -> None:
    domains = (
        domain("a"),
        domain("c", CONSOLE),
        domain("x", XENSTORE),
        domain("c2", CONSOLE),
        domain("x2", XENSTORE),
    )
    assert builder.creation_order(domains) == (2, 1, 0, 3, 4)
    both = (domain("a"), domain("b", CONSOLE | XENSTORE))
    assert builder.creation_order(both) == (1, 0)


def test_a_launcher_for_many_builds_all_in_order() -> None:
    domains = (domain("dom0", INITIAL | CONSOLE), domain("xs", XENSTORE), domain("nokernel", kernel=None))
    lines, outcome = builder.transcript(info(*domains), XEN)
    assert isinstance(outcome, Outcome)
    assert [(built.domain.name, built.domid) for built in outcome.built] == [("xs", 1), ("dom0", 0)]
    assert lines == [
        "bootwright: builder: 3 domains",
        "bootwright: d1: domain xs, kernel vmlinuz, ramdisk -, 64 MiB",
        "bootwright: d1: command line: quiet",
        "bootwright: d1: built, 1 of 3 domains",
        "bootwright: d0: domain dom0, kernel vmlinuz, ramdisk -, 64 MiB",
        "bootwright: d0: command line: quiet",
        "bootwright: d0: built, 2 of 3 domains",
        "bootwright: warning: domain nokernel is not built: it has no kernel",
        "bootwright: d0: domain dom0 is the hardware domain",
    ]


def test_a_missing_xenstore_or_console_is_a_warning() -> None:
    lines, _ = builder.transcript(info(domain("dom0", INITIAL)), XEN)
    assert lines[1:3] == [
        "bootwright: warning: no domain has the xenstore function",
        "bootwright: warning: no domain has the console function",
    ]


def test_the_native_launcher_builds_only_the_initial_domain() -> None:
    domains = (domain("a", XENSTORE), domain("dom0", INITIAL, ramdisk=1), domain("b", kernel=None))
    lines, outcome = builder.transcript(info(*domains))
    assert isinstance(outcome, Outcome) and outcome.hwdom is outcome.built[0]
    assert lines == [
        "bootwright: builder: 3 domains",
        "bootwright: warning: domain a is not built: the native launcher builds only the initial domain",
        "bootwright: d0: domain dom0, kernel vmlinuz, ramdisk initrd, 64 MiB",
        "bootwright: d0: command line: quiet",
        "bootwright: d0: built, 1 of 3 domains",
        "bootwright: warning: domain b is not built: the native launcher builds only the initial domain",
        "bootwright: d0: domain dom0 is the hardware domain",
    ]


def test_a_domain_already_constructed_is_done() -> None:
    _, outcome = builder.transcript(info(domain("dom0", INITIAL), domain("b", constructed=True)), XEN)
    assert isinstance(outcome, Outcome) and len(outcome.built) == 1


def test_the_initial_domain_needs_a_kernel() -> None:
    _, found = builder.transcript(info(domain("dom0", INITIAL, kernel=None)))
    assert failure(found) == "E0602: domain dom0 is the initial domain and has no kernel"


def test_no_initial_domain() -> None:
    lines, found = builder.transcript(info(domain("a")))
    assert len(lines) == 2 and failure(found) == "E0601: none of the 1 domains is the initial domain"


def test_a_second_initial_domain_finds_the_cpu_taken() -> None:
    _, found = builder.transcript(info(domain("a", INITIAL), domain("b", INITIAL)))
    assert failure(found) == "E0607: domain b: vcpu 0 is in state 2, not 1"


# Step 4: domids and command lines


def test_domids() -> None:
    """The initial domain is 0, another has its own, or the next free one if it asked for 0."""
    domains = (domain("a"), domain("dom0", INITIAL), domain("b", domid=1), domain("c"), domain("d", domid=7))
    _, outcome = builder.transcript(info(*domains), XEN)
    assert isinstance(outcome, Outcome)
    assert {built.domain.name: built.domid for built in outcome.built} == {
        "a": 2,
        "dom0": 0,
        "b": 1,
        "c": 3,
        "d": 7,
    }


def test_reserved_domids_are_not_given_away() -> None:
    with pytest.raises(BootFailure):
        builder.next_free_domid(set(range(C["DOMID_FIRST_RESERVED"])))


@pytest.mark.parametrize(
    ("loader", "string", "line"),
    [
        ("GRUB 2.06", "  vmlinuz quiet", "vmlinuz quiet"),
        ("PVH Directboot", "vmlinuz quiet", "vmlinuz quiet"),
        ("GNU GRUB 0.97", "  /boot/vmlinuz   quiet", "quiet"),
        ("qemu", "vmlinuz", ""),
    ],
)
def test_image_name(loader: str, string: str, line: str) -> None:
    """The first word is stripped, unless the loader leaves it out."""
    dom0 = domain("dom0", INITIAL)
    start = replace(info(dom0), mods=(module(string),), loader=loader)
    assert builder.compose_cmdline(start, dom0) == line


def test_extra_words_are_for_the_initial_domain_only() -> None:
    dom0, other = domain("dom0", INITIAL), domain("other")
    start = replace(info(dom0, other, cmdline=" a"), cmdline="xen --   b c")
    settings = Hypervisor(skip_ioapic=True, acpi="strict")
    assert builder.compose_cmdline(start, dom0, settings) == "a b c noapic acpi=strict"
    assert builder.compose_cmdline(start, other, settings) == "a"


@pytest.mark.parametrize(
    ("own", "composed"),
    [
        ("quiet -- single", "quiet noapic acpi=off -- single"),
        ("-- single", " noapic acpi=off -- single"),
        ("quiet -- noapic acpi=ht", "quiet noapic acpi=off -- noapic acpi=ht"),
        ("noapic acpi=ht -- single", "noapic acpi=ht -- single"),
        ("noapictimer pnpacpi=off", "noapictimer pnpacpi=off noapic acpi=off"),
    ],
)
def test_what_is_added_is_the_kernels_and_not_inits(own: str, composed: str) -> None:
    """Linux hands what stands behind a word "--" to init; and a word is another one if it is longer."""
    dom0 = domain("dom0", INITIAL)
    settings = Hypervisor(skip_ioapic=True, acpi_disabled=True)
    assert builder.compose_cmdline(info(dom0, cmdline=own), dom0, settings) == composed


def test_noapic_and_acpi_are_not_said_twice() -> None:
    dom0 = domain("dom0", INITIAL)
    settings = Hypervisor(skip_ioapic=True, acpi_disabled=True)
    assert builder.compose_cmdline(info(dom0, cmdline="noapic acpi=ht"), dom0, settings) == "noapic acpi=ht"
    assert builder.compose_cmdline(info(dom0), dom0, settings) == "quiet noapic acpi=off"


READERS = st.none() | st.builds(Reader, st.sampled_from([1, 20, 256, 2047, 2048, 2049, 1 << 32]), st.just("Xen"))


@given(st.text(max_size=2100), st.text(max_size=200), READERS)
@settings(deadline=None)
def test_command_lines_never_exceed_their_room(string: str, extra: str, reader: Reader | None) -> None:
    dom0 = domain("dom0", INITIAL)
    kernel = BootModule(3, 1, string=string, string_kind=C["BOOTSTR_CMDLINE"])
    start = BootInfo((kernel,), DomainBuilder((dom0,)), cmdline=f"xen -- {extra}")
    try:
        line = builder.compose_cmdline(start, dom0, Hypervisor(skip_ioapic=True), reader)
    except BootFailure as error:
        known = reader is not None and reader.room <= C["MAX_STRING"]
        said = (reader.room - 1, "Xen") if reader is not None and known else (C["MAX_STRING"] - 1, "the stub")
        assert error.name == "E_CMDLINE_TOO_LONG" and error.values == ("dom0", *said)
    else:
        assert len(line.encode()) < min(C["MAX_STRING"], reader.room if reader else C["MAX_STRING"])


@pytest.mark.parametrize("launcher", [builder.XEN, builder.HYPERLAUNCH])
def test_xen_hands_on_1023_bytes(launcher: builder.Launcher) -> None:
    dom0 = domain("dom0", INITIAL | XENSTORE | CONSOLE)
    for length in (1023, 1024):
        _, found = builder.transcript(info(dom0, cmdline="x" * length), launcher)
        assert isinstance(found, BootFailure) == (length > 1023)
        assert not isinstance(found, BootFailure) or found.values == ("dom0", 1023, "Xen")


def test_a_command_line_that_is_too_long_is_an_error() -> None:
    dom0 = domain("dom0", INITIAL)
    lines, found = builder.transcript(info(dom0, cmdline="é" * 1024))
    assert (
        failure(found)
        == "E0603: the command line of domain dom0 would be longer than the 2047 bytes that the stub takes"
    )
    assert len(lines) == 2


# Step 5: construct_domain


def test_construct_initialises_vcpu_0() -> None:
    done = builder.construct_domain(BuiltDomain(0, domain("dom0"), 0))
    assert done.vcpu0 is VcpuState.INITIALISED and done.domain.constructed


@pytest.mark.parametrize(
    ("built", "launcher", "message"),
    [
        (BuiltDomain(0, domain("a", domid=3), 0), NATIVE, "E0606: domain a has domid 3, but the initial"),
        (BuiltDomain(0, domain("a"), 0, "", VcpuState.ABSENT), NATIVE, "E0607: domain a: vcpu 0 is in"),
        (BuiltDomain(0, domain("a", mode=5), 0), NATIVE, "E0604: domain a has mode 0x5, "),
        (BuiltDomain(0, domain("a", mode=6), 0), NATIVE, "E0604: domain a has mode 0x6, "),
        (BuiltDomain(0, domain("a"), 0), Launcher(True, True, False), "E0604: domain a has mode 0x4, "),
    ],
)  # fmt: skip
def test_construct_sanity(built: BuiltDomain, launcher: Launcher, message: str) -> None:
    with pytest.raises(BootFailure) as caught:
        builder.construct_domain(built, launcher)
    assert str(caught.value).startswith(message)


def test_pv_is_built_by_a_launcher_that_can() -> None:
    assert builder.construct_domain(BuiltDomain(0, domain("a", mode=5), 0), XEN).domain.constructed


def test_a_machine_with_too_little_memory() -> None:
    small = (MemoryRange(0, 32 << 20, C["XEN_HVM_MEMMAP_TYPE_RAM"]), MemoryRange(32 << 20, 1 << 32, 2))
    _, found = builder.transcript(info(domain("dom0", INITIAL), mmap=small))
    assert failure(found) == "E0404: domain dom0 needs 65536 KiB of memory; this machine has 32768 KiB"


# Step 6: builder_get_hwdom


def test_the_first_hardware_domain_that_was_built() -> None:
    domains = (domain("dom0", INITIAL | XENSTORE), domain("hw", permissions=C["PERMISSION_HARDWARE"]))
    _, outcome = builder.transcript(info(*domains), XEN)
    assert isinstance(outcome, Outcome) and outcome.hwdom is not None and outcome.hwdom.domain.name == "dom0"


def test_no_hardware_domain() -> None:
    outcome = Outcome(info(domain("a")))
    with pytest.raises(BootFailure, match="E0605: no hardware domain was built, of 1 domains"):
        list(builder.builder_get_hwdom(outcome))
