"""Variables put into the NVRAM of QEMU's firmware, as that firmware itself would write them.

EDK2, MdeModulePkg/Include/Guid/VariableFormat.h: a firmware volume's header, a store's, and behind them one variable
behind the other, each with a header for authenticated variables, aligned to four bytes. virt-firmware's virt-fw-vars
reads what comes out.
"""

from __future__ import annotations

import struct
import uuid

from bootwright.common.errors import RunError

IMAGE_SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")  # of db and dbx: UEFI 2.10, 32.6.1
SHIM = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")  # EFI_CERT_X509_GUID

_HEADER_LENGTH = 0x30  # of the volume, in its header
_STORE_HEADER = 28
_VARIABLE = struct.Struct("<HBBIQ16sIII16s")
_STATE = 2  # where a variable's header says whether it is there
_START, _ADDED, _DELETED = 0x55AA, 0x3F, 0x3D
NON_VOLATILE_BOOT = 1 | 2  # EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS
AUTHENTICATED = NON_VOLATILE_BOOT | 4 | 0x20  # at run time as well, and written with a signature and a time


def add(store: bytes, name: str, owner: uuid.UUID, data: bytes, attributes: int = NON_VOLATILE_BOOT) -> bytes:
    """The NVRAM with this variable, in place of one of that name. Raises RunError where there is no room."""
    text = f"{name}\0".encode("utf-16-le")
    found = bytearray(store)
    (header,) = struct.unpack_from("<H", store, _HEADER_LENGTH)
    at = header + _STORE_HEADER
    while struct.unpack_from("<H", store, at)[0] == _START:
        *_, name_size, data_size, vendor = _VARIABLE.unpack_from(store, at)
        if (store[at + _VARIABLE.size :][:name_size], vendor) == (text, owner.bytes_le):
            found[at + _STATE] &= _DELETED
        at += -(-(_VARIABLE.size + name_size + data_size) // 4) * 4
    head = _VARIABLE.pack(_START, _ADDED, 0, attributes, 0, bytes(16), 0, len(text), len(data), owner.bytes_le)
    variable = head + text + data
    if store[at : at + len(variable)].strip(b"\xff"):
        raise RunError(f"the firmware's variables: no room for {len(variable)} bytes of {name}")
    found[at : at + len(variable)] = variable
    return bytes(found)


def signature_list(certificate: bytes, owner: uuid.UUID) -> bytes:
    """An EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1) with one certificate (DER)."""
    size = 16 + len(certificate)
    return X509.bytes_le + struct.pack("<III", 28 + size, 0, size) + owner.bytes_le + certificate
