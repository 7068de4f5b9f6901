"""Kernels understood: a file into a Kernel, with its segments, its entry, and the protocol by which it is entered.

    elf, bzimage    the files that kernels are
    sections        section headers, and what of the sections no segment loads
    kernel          what every protocol gives, and the record that a protocol is
    pvh, linux, multiboot   the launch protocols, one module each
    protocols       the list of them, and the choice for a file

    from bootwright.kernels import protocols
    kernel = protocols.choose("auto", Path("vmlinuz"), workdir)
    kernel.protocol, kernel.entry, kernel.segments

Only headers are read here, never the segments' bytes, but what a bzImage unpacks to. The rules by which a header is
taken or refused are on the page docs/kernels.md; the generic stub keeps the same ones.

May import: common.
"""
