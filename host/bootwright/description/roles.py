"""Roles and modes of domains: their words in descriptions, and the bits that stub/abi/builder.h has for them.

roles.bits("PERMISSION_")               # {"control": 1, "hardware": 2}
roles.words("PERMISSION_", 2)           # ["hardware"]
roles.modes()["pv"]                     # the mode of a boot domain
"""

from __future__ import annotations

from bootwright.common.abi import load as load_abi


def bits(prefix: str) -> dict[str, int]:
    """The bits whose names start with `prefix`, by their words."""
    constants = load_abi().constants.items()
    return {key.removeprefix(prefix).lower().replace("_", "-"): bit for key, bit in constants if key.startswith(prefix)}


def words(prefix: str, value: int) -> list[str]:
    """The words of the bits that are set."""
    return [word for word, bit in bits(prefix).items() if value & bit]


def modes() -> dict[str, int]:
    """The modes by their words: all of 64 bits, for no others are built."""
    constants = load_abi().constants
    kinds = {"pvh": 0, "pv": constants["MODE_PARAVIRTUALIZED"], "hvm": constants["MODE_DEVICE_MODEL"]}
    return {word: kind | constants["MODE_LONG"] for word, kind in kinds.items()}


def of_the_only_one(permissions: int = 0, functions: int = 0) -> tuple[int, int]:
    """Permissions and functions of a domain that is alone and not said to be the initial one: it is, and where it has
    no permission or function at all, it has those of the one domain of a boot without a description.
    """
    constants = load_abi().constants
    usual = constants["FUNCTION_CONSOLE"] | constants["FUNCTION_XENSTORE"]
    every = constants["PERMISSION_CONTROL"] | constants["PERMISSION_HARDWARE"]
    return permissions or every, (functions or usual) | constants["FUNCTION_INITIAL_DOMAIN"]
