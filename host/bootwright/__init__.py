"""bootwright: from a description of boot domains to media that boot them on a bare x86_64 machine.

The modules form a flow, from the description to the command line, and each imports only from those before it:
docs/design.md lists them in this order. Library code raises and never prints; the command line alone does.

For other programs: build, check, inspect, run, and the errors (docs/library.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What is offered, and where it is: imported when it is first used.
_OFFERED = {
    "Boot": "library.boot",
    "BootwrightError": "common.errors",
    "ErrorList": "common.errors",
    "Image": "library.image",
    "Where": "common.errors",
    "build": "library.image",
    "check": "library.image",
    "inspect": "library.image",
    "run": "library.boot",
}

__all__ = ["Boot", "BootwrightError", "ErrorList", "Image", "Where", "__version__", "build", "check", "inspect", "run"]

if TYPE_CHECKING:
    from bootwright.common.errors import BootwrightError, ErrorList, Where
    from bootwright.library.boot import Boot, run
    from bootwright.library.image import Image, build, check, inspect


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_OFFERED[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
