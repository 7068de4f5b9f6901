"""Machines on the bench: what one reported, and whether an image fits on it.

    serial          a serial line
    report          what the probe kernel printed of a machine, kept as machines/NAME.json
    abilities       what such a machine can do for the partition launcher
    platform        what a partition's resident part finds on it
    watch           a machine watched from the moment that its power is switched: a verdict
    explain         what the stub's errors mean, and what a captured log says
    plain_pc        a machine that nobody probed
    fit             an image on such a machine: what its boot will print, or why it cannot
    places          places of labgrid's coordinator, and drivers for one by what it has
    compare         a machine's console against that: where they differ

May import: common, description, hyperlaunch, plan, reference, image.
"""
