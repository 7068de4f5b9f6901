"""A whole boot, computed: every line printed, every place taken, every byte that a kernel is told.

This is the oracle. Boots under Unicorn and QEMU, with our kernels and other people's, must equal it; it shares the
records of stub/abi with the stub, and no code.

    machine         what a boot finds: memory map, modules, screen, firmware
    loading         where pieces go on that machine
    kernel_probe    a kernel that no host has looked into, as the generic stub reads it
    tree_reader     the same for a device tree
    handover        what the kernel is told, by each protocol
    resident        a partition's data, read back from an image
    nested          what its nested tables lead to
    partition       the boot of its resident part: places, cpus, what is put into domains
    profiles        which way to start is taken
    boot            all of that: the transcript
    transcript      a transcript read back into a machine

May import: common, description, kernels, devicetree, hyperlaunch, plan.
"""
