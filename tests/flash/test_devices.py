"""Block devices: found in a made-up /sys, /proc and /dev, and which of them may be written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootwright.common.errors import DeviceError
from bootwright.flash import block_devices


class Fake:
    """A machine's /sys, /proc and /dev."""

    def __init__(self, folder: Path) -> None:
        self.system = block_devices.System(folder / "sys", folder / "proc", folder / "dev")
        self.mounts = ["21 1 0:20 / /proc rw - proc proc rw"]
        self.swaps = ["Filename Type Size Used Priority"]
        for path in ("sys/class/block", "sys/dev/block", "proc/self", "dev/disk/by-id"):
            (folder / path).mkdir(parents=True)

    def add(self, place: str, number: str, size: int = 1 << 20, **files: str) -> Path:
        """A block device at sys/devices/PLACE; size in sectors; files of /sys, "__" for "/"."""
        folder = self.system.sys / "devices" / place
        folder.mkdir(parents=True)
        for link in (self.system.sys / "class/block" / folder.name, self.system.sys / "dev/block" / number):
            link.symlink_to(folder)
        for name, text in {"dev": number, "size": str(size), "ro": "0", "removable": "0", **files}.items():
            file = folder / name.replace("__", "/")
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_text(f"{text}\n")
        (self.system.dev / folder.name).touch()
        return folder

    def hold(self, holder: str, *parts: Path) -> None:
        """`holder` is made of parts."""
        place = (self.system.sys / "class/block" / holder).resolve()
        for part in parts:
            for folder, other in ((part / "holders", place), (place / "slaves", part)):
                folder.mkdir(exist_ok=True)
                (folder / other.name).symlink_to(other)

    def found(self) -> dict[str, block_devices.Disk]:
        (self.system.proc / "self/mountinfo").write_text("\n".join(self.mounts) + "\n")
        (self.system.proc / "swaps").write_text("\n".join(self.swaps) + "\n")
        return {disk.path.name: disk for disk in block_devices.disks(self.system)}

    def refusal(self, name: str, needed: int = 1 << 20) -> str | None:
        return block_devices.refusal(self.found()[name], needed)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


USB = "pci0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0/block/sdb"


def add_stick(fake: Fake, **files: str) -> Path:
    files = {"device__vendor": "SanDisk ", "device__model": "Ultra Fit       ", "removable": "1"} | files
    folder = fake.add(USB, "8:16", **files)
    (fake.system.sys / "devices/pci0/usb1/1-2/serial").write_text("4C530001\n")
    for name in ("usb-SanDisk_Ultra_Fit_4C530001-0:0", "wwn-0x5000"):
        (fake.system.dev / "disk/by-id" / name).symlink_to(fake.system.dev / "sdb")
    return folder


def test_a_usb_stick(fake: Fake) -> None:
    add_stick(fake, queue__logical_block_size="4096")
    disk = fake.found()["sdb"]
    assert disk == block_devices.Disk(
        fake.system.dev / "sdb",
        512 << 20,
        4096,
        "SanDisk Ultra Fit",
        "4C530001",
        "usb",
        (fake.system.dev / "disk/by-id/usb-SanDisk_Ultra_Fit_4C530001-0:0",),
        removable=True,
    )
    assert disk.names == ("SanDisk Ultra Fit", "4C530001")
    assert block_devices.refusal(disk, 512 << 20) is None


def test_a_stick_without_a_serial_number_has_not_its_hub_s(fake: Fake) -> None:
    """Several behind one hub would be called the same."""
    fake.add(USB, "8:16", removable="1", diskseq="7")
    usb = fake.system.sys / "devices/pci0/usb1"
    (usb / "serial").write_text("0000:00:14.0\n")
    (usb / "1-2/idVendor").write_text("0781\n")
    assert (fake.found()["sdb"].serial, fake.found()["sdb"].sequence) == ("", 7)


def test_names_and_transports(fake: Fake) -> None:
    fake.add("pci0/ata1/host0/block/sda", "8:0", device__vendor="ATA", device__model="Samsung SSD")
    fake.add("pci0/nvme/nvme0/nvme0n1", "259:0", device__model="WD Black", device__serial="21")
    fake.add("pci0/virtio0/block/vda", "254:0", device__vendor="0x1af4", serial="disk1")
    fake.add("pci0/mmc_host/mmc0/block/mmcblk0", "179:0", device__name="SD32G", device__serial="0x1")
    fake.add("virtual/block/loop0", "7:0", loop__backing_file="/tmp/some.img")
    fake.add("virtual/block/loop1", "7:1", size=0)
    fake.add("virtual/block/zram0", "253:0")
    fake.add("virtual/block/ram0", "1:0")
    fake.add("platform/block/fd0", "2:0")
    found = {name: (d.transport, d.model, d.serial) for name, d in fake.found().items()}
    assert found == {
        "sda": ("sata", "Samsung SSD", ""),
        "nvme0n1": ("nvme", "WD Black", "21"),
        "vda": ("virtio", "", "disk1"),
        "mmcblk0": ("mmc", "SD32G", "0x1"),
        "loop0": ("loop", "some.img", ""),
    }


def test_a_device_that_is_mounted_or_swap(fake: Fake) -> None:
    folder = add_stick(fake)
    fake.add(f"{USB}/sdb1", "8:17", partition="1")
    fake.mounts.append(r"30 1 8:17 / /media/my\040stick rw shared:1 - vfat /dev/sdb1 rw")
    assert fake.refusal("sdb") == "is mounted at /media/my stick"
    fake.mounts[1:] = [
        "30 1 0:40 /@ / rw - btrfs /dev/sdb1 rw",
        "31 1 0:40 /@home /home rw - btrfs /dev/sdb1 rw",
    ]
    assert fake.refusal("sdb") == "holds the running system's /"
    fake.mounts[1:] = []
    fake.swaps.append("/dev/sdb1 partition 100 0 -2")
    assert fake.refusal("sdb") == "holds swap space in use"
    fake.swaps[1:] = []
    assert fake.refusal("sdb") is None
    assert folder.is_dir()


def test_a_partition(fake: Fake) -> None:
    add_stick(fake)
    fake.add(f"{USB}/sdb1", "8:17", partition="1")
    assert list(fake.found()) == ["sdb"]
    disk = block_devices._read(fake.system, "sdb1", {})
    assert disk.model == "SanDisk Ultra Fit"
    assert block_devices.refusal(disk, 1) == f"is a partition: name the whole device, {fake.system.dev}/sdb"


def test_a_device_that_others_are_made_of(fake: Fake) -> None:
    """LVM on RAID on a partition: / is on the upper end."""
    add_stick(fake)
    part = fake.add(f"{USB}/sdb1", "8:17", partition="1")
    raid = fake.add("virtual/block/md0", "9:0")
    fake.add("virtual/block/dm-0", "252:0")
    fake.hold("md0", part)
    fake.hold("dm-0", raid)
    assert fake.refusal("sdb") == "is in use by md0 and dm-0 (LVM, RAID or another mapping)"
    assert fake.refusal("dm-0") == "is made of other devices (md0)"
    fake.mounts.append("30 1 252:0 / / rw - ext4 /dev/mapper/root rw")
    assert fake.refusal("sdb") == "holds the running system's /"


@pytest.mark.parametrize(
    ("files", "needed", "message"),
    [
        ({"ro": "1"}, 1, "is read-only"),
        ({}, (512 << 20) + 1, "is too small: it has 536,870,912 bytes, and 536,870,913 are to be written"),
    ],
)
def test_a_device_that_does_not_do(fake: Fake, files: dict[str, str], needed: int, message: str) -> None:
    add_stick(fake, **files)
    assert fake.refusal("sdb", needed) == message


def test_an_optical_drive_and_an_empty_reader(fake: Fake) -> None:
    fake.add("pci0/ata2/host1/block/sr0", "11:0")
    assert fake.refusal("sr0") == "is an optical drive: burn the ISO with a program for that"
    fake.add("pci0/usb1/1-3/block/sdc", "8:32", size=0)
    assert "sdc" not in fake.found()
    assert block_devices.refusal(block_devices._read(fake.system, "sdc", {}), 1) == "has no medium in it"


def test_a_machine_that_shows_nothing(tmp_path: Path) -> None:
    assert block_devices.disks(block_devices.System(tmp_path, tmp_path, tmp_path)) == ()


@pytest.mark.parametrize(
    ("path", "message"), [("/dev/sdnone", "No such file or directory"), ("/dev/null", "is no block device")]
)
def test_what_is_no_block_device(path: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        block_devices.find(Path(path))


def test_the_machine_that_runs_this() -> None:
    """Whatever it has, the disk that holds / is not to be written to."""
    for disk in block_devices.disks():
        if "/" in disk.mounts:
            assert block_devices.refusal(disk, 0) == "holds the running system's /"
