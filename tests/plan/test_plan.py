"""The plan: addresses, flags, what is left out, how much memory planning takes."""

from __future__ import annotations

import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from project import ROOT

from bootwright.common import abi
from bootwright.common.errors import BootwrightError, KernelError, PlanError
from bootwright.common.ranges import Range, Relocation
from bootwright.description import load as description_load
from bootwright.description.records import OfDomain
from bootwright.hyperlaunch import model
from bootwright.hyperlaunch.model import BootInfo, BootModule
from bootwright.inputs import resolve
from bootwright.plan import make as plan_make
from bootwright.plan import tables, xen
from bootwright.plan.make import Plan

C = abi.load().constants


def make(text: str, folder: Path, **image: str) -> Plan:
    """The plan of `text`, whose kernels and ramdisks are files of `folder`."""
    lines = [f"{key} = {value}" for key, value in image.items()]
    described = description_load.parse("\n".join(["[image]", *lines, text]), folder / "lab.toml")
    files = {}
    for index, domain in enumerate(described.domains):
        for key, source in domain.files.items():
            if isinstance(source, description_load.FileSource):
                files[OfDomain(index), key] = folder / source.path
    return plan_make.make(described, model.build(described, files), folder / "work")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples.write_kernels(tmp_path)
    return tmp_path


def test_a_kernel_and_a_stored_ramdisk(folder: Path) -> None:
    found = make(samples.DOMAIN + 'ramdisk = "ramdisk"\ncmdline = "quiet"\n', folder)
    kernel, ramdisk = found.modules
    assert (kernel.name, kernel.kind, kernel.string) == ("good.elf", C["BOOTMOD_KERNEL"], "quiet")
    assert kernel.flags == ramdisk.flags == C["MODULE_EMBEDDED"] | C["MODULE_VERIFY"]
    assert kernel.start == 0 and len(kernel.pieces) == 1 and kernel.pieces[0].dest == 0x400000
    assert (ramdisk.load_address, ramdisk.start, ramdisk.pieces) == (0x200000, 0, ())
    assert ramdisk.payload == folder / "ramdisk" and ramdisk.size == ramdisk.unpacked_size == 100
    assert kernel.load_address == 0x201000
    (domain,) = found.domains
    assert (domain.domain.kernel, domain.domain.ramdisk) == (0, 1)
    assert (domain.protocol, domain.entry) == (C["PROTOCOL_PVH"], 0x400000)
    assert found.transcript[-1] == "bootwright: d0: domain dom0 is the hardware domain"


def test_a_packed_ramdisk_has_a_final_place(folder: Path) -> None:
    (folder / "big").write_bytes(b"all the same " * 100000)
    found = make(samples.DOMAIN + 'ramdisk = "big"\n', folder)
    _, ramdisk = found.modules
    final = Range.sized(ramdisk.start, ramdisk.unpacked_size)
    # Too large for the room in front of the kernel would be 2 MiB; 1.3 MB fit there.
    assert final == Range(0x200000, 0x200000 + 1300000)
    assert ramdisk.size < 10000 and not final.overlaps(ramdisk.load_range)
    assert ramdisk.pieces[0].dest == ramdisk.start


MULTIBOOT = samples.DOMAIN.replace("good.elf", "mb2.elf")


def test_modules_are_handed_over_in_their_order(folder: Path) -> None:
    """Behind the ramdisk; one that is there twice is handed over twice, each with its string."""
    (folder / "big").write_bytes(b"all the same " * 100000)
    listed = '["good.elf", { path = "big", string = "a  b" }, { path = "ramdisk" }, { path = "big", string = "c" }]'
    found = make(MULTIBOOT + f'ramdisk = "ramdisk"\nmodules = {listed}\n', folder)
    assert [module.name for module in found.modules[:5]] == ["mb2.elf", "ramdisk", "good.elf", "big", "module4"]
    handed = [found.modules[number] for number in found.domains[0].domain.handed]
    assert [(module.payload and module.unpacked_size, module.string) for module in handed] == [
        (len(samples.elf()), ""), (1300000, "a  b"), (100, ""), (1300000, "c")
    ]  # fmt: skip
    assert {module.kind for module in handed} == {C["BOOTMOD_MODULE"]}
    assert [bool(module.start) for module in handed] == [False, True, False, True], "packed, with a place of its own"
    places = [Range.sized(module.start or module.load_address, module.unpacked_size) for module in handed]
    assert not any(one.overlaps(other) for one, other in pairwise(sorted(places)))
    assert tables.decode(tables.encode(found)).domains == found.domains


def test_memory_has_to_hold_the_modules_too(folder: Path) -> None:
    with pytest.raises(PlanError, match=r"is too small for kernel .* and modules of 0x800064 bytes"):
        make(MULTIBOOT.replace("64M", "8M") + 'modules = ["big", "ramdisk"]\n', folder)
    with pytest.raises(PlanError, match="and ramdisk and modules of 0x800064 bytes"):
        make(MULTIBOOT.replace("64M", "8M") + 'ramdisk = "ramdisk"\nmodules = ["big"]\n', folder)


def test_a_kernel_that_may_be_moved_is_moved_out_of_the_first_mib(folder: Path) -> None:
    """By its note PHYS32_RELOC; a kernel without one is refused (descriptions/bad/kernel-low-elf.toml)."""
    loads = [samples.Load(0x80000, b"a" * 64), samples.Load(0x90000, b"b" * 64)]

    def file(*words: int) -> bytes:
        return samples.elf(loads, samples.pvh_note(0x80004) + samples.note(19, struct.pack("<3I", *words)))

    text = samples.DOMAIN.replace("good.elf", "moved.elf")
    (folder / "moved.elf").write_bytes(file(0x40000, 0x210000, 0xFFFFFFFF))
    found = make(text, folder)
    assert [piece.dest for piece in found.modules[0].pieces] == [0x240000, 0x250000]
    assert found.domains[0].entry == 0x240004
    assert found.modules[0].movable == Relocation(0x40000, 0x210000, 0xFFFFFFFF)
    (folder / "moved.elf").write_bytes(file(0x40000, 0, 0x210000))
    with pytest.raises(PlanError, match="overlaps the first MiB"):
        make(text, folder)


def bzimage_in(folder: Path) -> None:
    """A bzImage that holds a kernel with a PVH note: BOTH.bz."""
    packed = samples.pack_payload(samples.elf(), "gzip")
    data = samples.linux(bytes(0x400) + packed, payload_offset=0x400, payload_length=len(packed))
    (folder / "BOTH.bz").write_bytes(data)


@pytest.mark.parametrize(
    ("protocol", "note"),
    [
        ("auto", "protocol auto is linux: kernel BOTH.bz is a bzImage, and is told of EFI where there is EFI"),
        ("pvh", "kernel BOTH.bz is a bzImage, and by PVH the kernel in it is not told of EFI; by protocol linux it is"),
        ("linux", None),
    ],
)
def test_whether_a_kernel_is_told_of_efi_is_said(protocol: str, note: str | None, folder: Path) -> None:
    bzimage_in(folder)
    found = make(samples.DOMAIN.replace("good.elf", "BOTH.bz") + f'protocol = "{protocol}"\n', folder)
    assert found.notes == ((f'domain "dom0": {note}',) if note else ())


def test_a_bzimage_that_is_to_be_packed(folder: Path) -> None:
    bzimage_in(folder)
    with pytest.raises(KernelError, match=r'; protocol = "pvh" takes the kernel out of it$'):
        make(samples.DOMAIN.replace("good.elf", "BOTH.bz"), folder, pack='"lz4"')


def test_room_in_front_of_the_files_where_a_kernel_takes_the_stubs_place(folder: Path) -> None:
    """For what it is told; elsewhere there is room behind the stub."""
    for start, kept in ((0x100000, C["HANDOVER_SIZE"]), (0x400000, 0)):
        load = samples.Load(start, b"x" * 64, memsz=0x140000)
        (folder / "wide.elf").write_bytes(samples.elf([load], samples.pvh_note(start)))
        found = make(samples.DOMAIN.replace("good.elf", "wide.elf") + 'ramdisk = "ramdisk"\n', folder)
        free = 0x240000 if kept else 0x200000
        assert found.modules[1].load_address == free + kept
        assert all(module.load_address >= free + kept for module in found.modules)


def test_image_settings(folder: Path) -> None:
    settings = {
        "log": '"debug"',
        "on-failure": '"reboot after 7 s"',
        "console": '["com2,57600"]',
        "name": '"lab"',
    }
    found = make(samples.DOMAIN, folder, **settings).image
    assert found == plan_make.PlannedImage(
        "lab", C["CONSOLE_SERIAL"], 0x2F8, 2, C["LOG_DEBUG"], C["ON_FAILURE_REBOOT"], 7
    )


def test_modules_that_the_loader_brings(folder: Path) -> None:
    found = make(samples.DOMAIN + 'ramdisk = "ramdisk"\n', folder, modules='"loader"', verify="false")
    assert [module.load_address for module in found.modules] == [0, 0]
    assert [module.flags for module in found.modules] == [0, 0]
    assert not any(module.embedded or module.load_range.size for module in found.modules)


def test_domains_that_are_not_built_bring_no_modules(folder: Path) -> None:
    other = '[[domain]]\nname = "{}"\nmemory = "64M"\nkernel = "text.txt"\nramdisk = "ramdisk"\n'
    found = make(other.format("first") + samples.DOMAIN + other.format("last"), folder)
    assert [module.name for module in found.modules] == ["good.elf"]
    assert [domain.domain.kernel for domain in found.domains] == [None, 0, None]
    assert [domain.protocol for domain in found.domains] == [0, C["PROTOCOL_PVH"], 0]
    assert found.notes[0] == (
        'domain "first" is not built by the native launcher; its kernel and ramdisk are left out of the image'
    )


XEN = """
[hypervisor]
kernel = "mb2.elf"
microcode = "ucode"
xsm-policy = "policy"
cmdline = "{}"

[[domain]]
name = "dom0"
functions = ["console", "xenstore", "initial-domain"]
mode = "pv"
memory = "64M"
kernel = "good.elf"
"""


def make_xen(text: str, folder: Path, cmdline: str = "loglvl=all") -> Plan:
    for name in ("ucode", "policy"):
        (folder / name).write_bytes(name.encode() * 10000)
    text = f'[image]\nlauncher = "xen"\npack = "lz4"\n{XEN.format(cmdline)}{text}'
    described = description_load.parse(text, folder / "lab.toml")
    files = resolve.resolve(described, folder / "work")
    return plan_make.make(described, model.build(described, files), folder / "work")


@pytest.mark.parametrize(("ramdisk", "number"), [("", 1), ('ramdisk = "ramdisk"\n', 2)])
def test_microcode_and_policy_come_behind_the_domains_modules(folder: Path, ramdisk: str, number: int) -> None:
    found = make_xen(ramdisk, folder)
    ucode, policy, xen = found.modules[-3:]
    assert [module.name for module in (ucode, policy, xen)] == ["ucode", "policy", "mb2.elf"]
    assert (ucode.kind, policy.kind) == (C["BOOTMOD_UCODE"], C["BOOTMOD_XSM"])
    for module in (ucode, policy):
        assert (module.pieces, module.start, module.string) == ((), 0, ""), "used where it lies"
        assert module.payload == folder / module.name and module.load_address % C["PAGE_SIZE"] == 0
    assert found.hypervisor is not None and found.modules[number] == ucode
    assert f" ucode={number} " in found.hypervisor.cmdline
    assert tables.decode(tables.encode(found)) == found


def test_a_command_line_that_knows_where_the_microcode_is(folder: Path) -> None:
    found = make_xen("", folder, "ucode=scan")
    assert found.hypervisor is not None
    assert found.hypervisor.cmdline.startswith("mb2.elf ucode=scan dom0_mem=")


ADDED = "ucode=1 dom0_mem=65536K,max:65536K dom0_max_vcpus=1"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("loglvl=all", f"loglvl=all {ADDED}"),
        ("loglvl=all -- quiet", f"loglvl=all {ADDED} -- quiet"),
        ("loglvl=all --   quiet --  single", f"loglvl=all {ADDED} -- quiet --  single"),
        ("-- quiet", f"{ADDED} -- quiet"),
        ("", ADDED),
        ("x -- ucode=scan dom0_mem=1G", f"x {ADDED} -- ucode=scan dom0_mem=1G"),
        ("xucode=1 no-dom0_mem=1", f"xucode=1 no-dom0_mem=1 {ADDED}"),
        ("dom0_mem=1G ucode=scan -- a", "dom0_mem=1G ucode=scan dom0_max_vcpus=1 -- a"),
    ],
)
def test_what_is_for_xen_stands_in_front_of_what_is_for_the_initial_domain(folder: Path, said: str, told: str) -> None:
    found = make_xen("", folder, said)
    assert found.hypervisor is not None and found.hypervisor.cmdline == f"mb2.elf {told}"


def test_xen_finds_the_mark_where_nothing_is_for_xen() -> None:
    """It looks for it with a space in front, and takes the file's name off with the spaces behind it."""
    info = BootInfo((BootModule(0, 1, name="xen"),), hypervisor=0, hypervisor_cmdline="-- quiet")
    assert xen.cmdline(info) == "xen placeholder -- quiet"


def test_xen_without_a_tree_builds_one_domain_and_the_others_are_named(folder: Path) -> None:
    other = '[[domain]]\nname = "{}"\nmode = "pv"\nmemory = "64M"\nkernel = "good.elf"\n'
    found = make_xen(other.format("first") + other.format("second"), folder)
    assert found.transcript == (
        "bootwright: builder: 3 domains",
        "bootwright: builder: hypervisor mb2.elf builds 1 of 3 domains",
        "bootwright: warning: domain first is not built: without a device tree Xen builds only the initial domain",
        "bootwright: warning: domain second is not built: without a device tree Xen builds only the initial domain",
    )
    assert [domain.domain.kernel is not None for domain in found.domains] == [True, False, False]


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ([], ""),
        (["kernel"], "; its kernel is left out of the image"),
        (["kernel", "ramdisk"], "; its kernel and ramdisk are left out of the image"),
        (["kernel", "ramdisk", "config"], "; its kernel, ramdisk and config are left out of the image"),
    ],
)
def test_the_note_about_what_is_left_out_agrees_with_its_number(folder: Path, files: list[str], left: str) -> None:
    other = '[[domain]]\nname = "other"\nmemory = "64M"\n' + "".join(f'{key} = "ramdisk"\n' for key in files)
    found = make(samples.DOMAIN + other, folder)
    assert f'domain "other" is not built by the native launcher{left}' in found.notes


def test_configs_that_nobody_could_be_told_of_are_left_out(folder: Path) -> None:
    configs = 'device-tree = "text.txt"\nconfig = "empty"\n'
    note = 'domain "dom0": device-tree and config: left out of the image; only Xen with lcm = true is told of them'
    for found in (make_xen(configs, folder), make(samples.DOMAIN + configs, folder)):
        kinds = {module.kind for module in found.modules}
        assert not kinds & {C["BOOTMOD_GUEST_DTB"], C["BOOTMOD_GUEST_CONF"]}
        assert note in found.notes and found.domains[0].domain.configs == (None, None)


def test_what_would_fail_at_boot_is_refused(folder: Path) -> None:
    described = description_load.parse(samples.DOMAIN, folder / "lab.toml")
    with pytest.raises(PlanError, match="would fail at boot with E0602: domain dom0 is the initial domain"):
        plan_make.make(described, model.build(described, {}), folder / "work")


def test_the_memory_that_an_error_asks_for_is_enough(folder: Path) -> None:
    text = samples.DOMAIN + 'ramdisk = "big"\n'
    with pytest.raises(PlanError, match="at least 24M are needed"):
        make(text.replace("64M", "11M"), folder, pack='"none"')
    assert make(text.replace("64M", "24M"), folder, pack='"none"').modules


def test_a_file_that_has_gone(folder: Path) -> None:
    described = description_load.parse(samples.DOMAIN, folder / "lab.toml")
    info = model.build(described, {(OfDomain(0), "kernel"): folder / "good.elf"})
    (folder / "good.elf").unlink()
    with pytest.raises(
        BootwrightError, match=r"lab.toml:6:10: domain .dom0.: kernel .* cannot be read and packed: No such"
    ):
        plan_make.make(described, info, folder / "work")


def test_progress(folder: Path) -> None:
    described = description_load.parse(samples.DOMAIN, folder / "lab.toml")
    info = model.build(described, {(OfDomain(0), "kernel"): folder / "good.elf"})
    said: list[tuple[str, int, int]] = []
    plan_make.make(described, info, folder / "work", lambda *step: said.append(step))
    assert said == [("packing good.elf", 64, 64)]


def test_the_same_plan_every_time(folder: Path) -> None:
    text = samples.DOMAIN + 'ramdisk = "big"\n'
    one, two = make(text, folder), make(text, folder)
    assert one == two and [m.sha256 for m in one.modules] == [m.sha256 for m in two.modules]


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(0, 1 << 22), st.integers(0, 1 << 22)),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 1 << 22),
    st.sampled_from(["auto", "lz4", "none"]),
)
@settings(max_examples=40, deadline=None)
def test_placement_never_overlaps(
    tmp_path_factory: pytest.TempPathFactory, loads: list[tuple[int, int, int]], ramdisk: int, pack: str
) -> None:
    """Any kernel is refused, or everything has room of its own: final places, and what is loaded."""
    folder = tmp_path_factory.getbasetemp()
    segments = [
        samples.Load(mib << 20, b"x" * (size & 0xFFFF), memsz=max(size, size & 0xFFFF)) for mib, size, _ in loads
    ]
    (folder / "good.elf").write_bytes(samples.elf(segments, samples.pvh_note(loads[0][0] << 20)))
    (folder / "ramdisk").write_bytes(b"r" * ramdisk)
    text = samples.DOMAIN.replace("64M", "1G") + 'ramdisk = "ramdisk"\n'
    try:
        found = make(text, folder, pack=f'"{pack}"')
    except BootwrightError:
        return
    taken = [placement.range for placement in found.placements]
    for module in found.modules:
        assert module.load_range in taken and module.load_address % C["PAGE_SIZE"] == 0
        for piece in module.pieces:
            room = Range(piece.dest, piece.dest + piece.dest_size + piece.zero_size)
            assert any(own.start <= room.start and room.end <= own.end for own in taken)
    # A kernel may lie where the stub is: it comes last.
    stub = Range(C["IMAGE_BASE"], C["IMAGE_LIMIT"])
    ordered = sorted(place for place in taken if place != stub)
    assert not any(module.load_range.overlaps(stub) for module in found.modules)
    assert all(not low.overlaps(high) for low, high in pairwise(ordered))
    assert ordered[-1].end <= 1 << 30


MEASURE = """
import re, sys
from pathlib import Path
from bootwright.description import load
from bootwright.description.records import OfDomain
from bootwright.hyperlaunch import model
from bootwright.plan import make, tables
folder = Path(sys.argv[1])
described = load.load(folder / "lab.toml")
files = {(OfDomain(0), "kernel"): folder / "good.elf", (OfDomain(0), "ramdisk"): folder / "ramdisk"}
made = make.make(described, model.build(described, files), folder / "work")
assert len(made.modules[1].pieces) == int(sys.argv[2]) and tables.encode(made)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.parametrize(("pack", "pieces"), [("none", 0), ("lz4", 100)])
def test_a_large_ramdisk_takes_no_memory(pack: str, pieces: int, folder: Path) -> None:
    with (folder / "ramdisk").open("wb") as file:
        for number in range(100):  # 400 MiB, most of it holes
            file.seek(number * (4 << 20))
            file.write(b"not only zeros")
        file.truncate(400 << 20)
    text = samples.DOMAIN.replace("64M", "1G") + 'ramdisk = "ramdisk"\n'
    (folder / "lab.toml").write_text(f'[image]\npack = "{pack}"\n{text}')
    environment = {"PYTHONPATH": str(ROOT / "host")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), str(pieces)],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 150  # MiB
