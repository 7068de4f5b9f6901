"""Objects and a layout into an ELF file: addresses, sizes, bytes, symbols, lines for a debugger.

    layout          which section goes where, from linker/*.toml
    symbols         what every name of a link is worth
    relax           items into sections, sections to addresses, until nothing moves any more
    dwarf           lines and records for a debugger
    elf_writer      the bytes of the file
    linked          what a link gives
    listing         source with addresses and bytes
    linker          all of that
    program         sources to a linked file, each step kept by what it was made of

    from bootwright.link.program import program
    linked = program([Path("kernel.asm")], "kernel", cache)
    linked.image, linked.symbols["start"], linked.listing

May import: common, asm.
"""
