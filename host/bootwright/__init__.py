"""bootwright: from a description of boot domains to media that boot them on a bare x86_64 machine.

The modules form a flow, and each imports only from those before it: errors and abi; the description, model,
plan and tables; source, expression, operands, instructions, encode, assemble, check, layout, resolve, place,
elfwrite, link and listing; patch, verify, report and image; media, qemu, run and tasks. Library code raises
and never prints: the command line alone does.
"""

__version__ = "0.1.0"
