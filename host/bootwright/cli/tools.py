"""All that bootwright may need of other packages: programs that it calls, and files that it copies.

for one in TOOLS:
    one.name, one.package, one.does, one.optional, one.is_installed()
    one.version()           # of a Tool alone
"""

from __future__ import annotations

from bootwright.common.tool import Needed
from bootwright.devicetree.dtc import DTC
from bootwright.emulate.debug import GDB
from bootwright.emulate.qemu import OVMF, QEMU
from bootwright.emulate.secure_boot import SECURE_OVMF
from bootwright.image.sign import SBSIGN
from bootwright.inputs.debian import APT_GET, DPKG_DEB
from bootwright.media.grub import GRUB_MKIMAGE, GRUB_MKRESCUE, MFORMAT, PLATFORMS, XORRISO
from bootwright.media.pxe import IPXE
from bootwright.netboot.dhcp import DNSMASQ

# In the order of the flow.
TOOLS: tuple[Needed, ...] = (
    *(DTC, APT_GET, DPKG_DEB, SBSIGN),
    *(*PLATFORMS.values(), GRUB_MKIMAGE, GRUB_MKRESCUE, XORRISO, MFORMAT, IPXE, DNSMASQ),
    *(QEMU, OVMF, SECURE_OVMF, GDB),
)
