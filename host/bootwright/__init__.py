"""bootwright: from a description of boot domains to media that boot them on a bare x86_64 machine.

The modules form a flow, from the description to the command line, and each imports only from those before it:
docs/design.md lists them in this order. Library code raises and never prints; the command line alone does.
"""

__version__ = "0.1.0"
