"""bootwright: from a description of boot domains to media that boot them on a bare x86_64 machine.

The modules in the order of the flow; each imports only from those before it:
errors, abi · description, model, builder, sources, kernel, pack, plan, tables · source, expression, operands,
instructions, encode, assemble, check, layout, elfwrite, link, listing · patch, verify, report, image · media, qemu,
run, tasks. Library code raises and never prints: the command line alone does.
"""

__version__ = "0.1.0"
