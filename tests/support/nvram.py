"""Variables put into the NVRAM of QEMU's firmware, as that firmware itself would write them.

EDK2, MdeModulePkg/Include/Guid/VariableFormat.h: a firmware volume's header, a store's, and behind them one variable
behind the other, each with a header for authenticated variables, aligned to four bytes. virt-firmware's virt-fw-vars
reads what comes out.
"""

from __future__ import annotations

import struct
import uuid

SHIM = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")  # EFI_CERT_X509_GUID

_HEADER_LENGTH = 0x30  # of the volume, in its header
_STORE_HEADER = 28
_VARIABLE = struct.Struct("<HBBIQ16sIII16s")
_START, _ADDED = 0x55AA, 0x3F
NON_VOLATILE_BOOT = 1 | 2  # EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS


def add(store: bytes, name: str, owner: uuid.UUID, data: bytes) -> bytes:
    """The NVRAM with one more variable, which boot services alone can see."""
    (header,) = struct.unpack_from("<H", store, _HEADER_LENGTH)
    at = header + _STORE_HEADER
    while struct.unpack_from("<H", store, at)[0] == _START:
        *_, name_size, data_size, _ = _VARIABLE.unpack_from(store, at)
        at += -(-(_VARIABLE.size + name_size + data_size) // 4) * 4
    text = f"{name}\0".encode("utf-16-le")
    head = _VARIABLE.pack(_START, _ADDED, 0, NON_VOLATILE_BOOT, 0, bytes(16), 0, len(text), len(data), owner.bytes_le)
    variable = head + text + data
    assert store[at : at + len(variable)].strip(b"\xff") == b"", "there is no room"
    return store[:at] + variable + store[at + len(variable) :]


def signature_list(certificate: bytes, owner: uuid.UUID) -> bytes:
    """An EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1) with one certificate (DER)."""
    size = 16 + len(certificate)
    return X509.bytes_le + struct.pack("<III", 28 + size, 0, size) + owner.bytes_le + certificate
