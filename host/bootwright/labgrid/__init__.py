"""Drivers and a strategy for labgrid (docs/lab.md): images built, put onto boards, booted and judged.

    image        BootwrightImage, BootwrightStick, BootwrightNetboot: an image, built when it is asked for; put onto
                 what a board boots from, or given to a server
    strategy     BootwrightStrategy: a board off, booted, launched, and its shell; what the stub says becomes exceptions
    coordinator  a lab's coordinator: its places, acquired and released
    environment  targets of an environment, as labgrid itself reads it
    fixtures     for pytest: the board in a state, and what it said where a test fails
    follow       one target of an environment, brought to a state by a process of its own

An environment of labgrid's names it in `imports: [bootwright.labgrid]`. labgrid is needed, the extra `bootwright[lab]`.

May import: common, flash, lab, library.
"""

from bootwright.labgrid.image import BootwrightImage, BootwrightNetboot, BootwrightStick
from bootwright.labgrid.strategy import BootFailed, BootwrightStrategy, Status

__all__ = ["BootFailed", "BootwrightImage", "BootwrightNetboot", "BootwrightStick", "BootwrightStrategy", "Status"]
