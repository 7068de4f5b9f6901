"""The resident part's data in an image, read back: by the records of stub/abi, from the bytes alone.

data = unpack(module, file)         # of the module that is entered in a domain's place
data.head                           # struct partition
data.string(data.domains[0].name)
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import lz4.block

from bootwright.common.abi import load as load_abi
from bootwright.common.pieces import Piece
from bootwright.hyperlaunch.builder import NOTHING
from bootwright.plan.records import PlannedModule


class Data:
    """Bytes of memory from machine address `base` on, with records in them."""

    def __init__(self, base: int, data: bytes) -> None:
        self.base = base
        self.bytes = data

    def read(self, address: int, size: int) -> bytes:
        """Raises IndexError for what is not all there."""
        start = address - self.base
        if start < 0 or start + size > len(self.bytes):
            raise IndexError(f"{address:#x}: {size} bytes are not in the {len(self.bytes)} from {self.base:#x} on")
        return self.bytes[start : start + size]

    def record(self, name: str, address: int) -> Any:
        """The record of a struct at an address."""
        return load_abi().struct(name)(self.read(address, load_abi().constants[f"{name.upper()}_SIZEOF"]))

    def records(self, name: str, address: int, count: int) -> list[Any]:
        """An array of them."""
        size = load_abi().constants[f"{name.upper()}_SIZEOF"]
        return [self.record(name, address + number * size) for number in range(count)]

    def string(self, address: int) -> str:
        """A string, as it is shown."""
        if not address:
            return NOTHING
        start = address - self.base
        return self.bytes[start : self.bytes.index(0, start)].decode()

    @cached_property
    def head(self) -> Any:
        """struct partition."""
        return self.record("partition", self.base)

    @cached_property
    def domains(self) -> list[Any]:
        """struct domain of all, in the order in which they are built."""
        return self.records("domain", self.head.domains, self.head.nr_domains)

    @cached_property
    def vcpus(self) -> list[Any]:
        """struct vcpu of all; those of a domain stand together."""
        return self.records("vcpu", self.head.vcpus, self.head.nr_vcpus)

    @cached_property
    def shared(self) -> list[Any]:
        """struct shared_range of all."""
        return self.records("shared_range", self.head.shared, self.head.nr_shared)

    def vcpus_of(self, domain: Any) -> list[Any]:
        """struct vcpu of a domain."""
        return self.vcpus[domain.first_vcpu : domain.first_vcpu + domain.nr_vcpus]

    def shares_of(self, domain: Any) -> list[Any]:
        """struct share of a domain."""
        return list(domain.shares[: domain.nr_shares])


def unpack(module: PlannedModule, file: bytes) -> Data:
    """The data of a packed resident part: all that goes to PARTITION_BASE and behind."""
    base = load_abi().constants["PARTITION_BASE"]
    pieces = [piece for piece in module.pieces if piece.dest >= base]
    end = max((piece.dest + piece.dest_size + piece.zero_size for piece in pieces), default=base)
    found = bytearray(end - base)
    for piece in pieces:
        content = unpacked(piece, file)
        assert content is not None, f"{module.name}: the piece for {piece.dest:#x} does not unpack"
        found[piece.dest - base : piece.dest - base + len(content)] = content
    return Data(base, bytes(found))


def unpacked(piece: Piece | Any, file: bytes) -> bytes | None:
    """What a piece (Piece or struct piece) of a packed file becomes, without its zeros; None if it does not unpack."""
    packed = file[piece.source : piece.source + piece.source_size]
    if piece.method == load_abi().constants["PACK_STORED"]:
        return packed[: piece.dest_size]
    try:
        content: bytes = lz4.block.decompress(packed, uncompressed_size=piece.dest_size)
    except lz4.block.LZ4BlockError:
        return None
    return content if len(content) == piece.dest_size else None
