"""QEMU: an image booted by one of its media, watched on its serial console, or followed with a debugger.

    qemu            one machine: its command line, its console, how it came to an end
    nvram           variables in the memory of QEMU's firmware
    secure_boot     a firmware that starts what one owner has signed
    debug           QEMU waits for gdb, and a script that gdb reads
    run             an image on a machine

    from bootwright.emulate import run
    result = run.boot(built, run.Options(via="grub", expect="login:"), print)

May import: common, description, image, media.
"""
