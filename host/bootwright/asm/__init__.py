"""Assembly source into an Object: statements understood, and encoded as far as that can be done without addresses.

Keystone miscompiles in silence, mostly around symbols. So it is handed one instruction at a time, in numbers only, and
Capstone reads back what comes out. The dialect is on the page docs/assembler.md.

    preprocess      a file as statements: comments gone, includes read, macros expanded
    expression      numbers, symbols and operators; what an address may be used for
    operands        registers, immediates, memory and targets, as written and as numbers
    instructions    the table of what may be written, with the forms of operands
    encode          the one place where Keystone is called
    check           the one place where Capstone is called: bytes must say what was written
    template        an instruction before its addresses are known: complete, or with a field for a distance
    assemble        all of that: one file into an Object

    from bootwright.asm import assemble
    found = assemble.assemble(Path("stub/boot/main.asm"))
    found.sections[".text"]                     # items: labels, instructions with their forms, data, alignments

May import: common.
"""
