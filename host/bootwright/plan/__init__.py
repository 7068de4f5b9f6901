"""Every byte a place: model and files into a Plan, and the Plan into the tables that the stub reads.

    records         what a plan is made of
    pack            a module's bytes as they travel, and the pieces that bring them to their place
    kept            what was packed before, found again by the hash of the file
    memory          what is free before the machine boots
    modules         which modules go in, looked into and packed
    place           addresses for them
    notes           what a user may want to know of it
    partitions      what the partition launcher's resident part is handed, and that itself
    xen, lcm        what Xen is handed: its legacy order of modules, or a device tree
    make            all of that
    tables          a plan as bytes, and back

    from bootwright.plan import make, tables
    planned = make.make(described, info, workdir)
    blob = tables.encode(planned)               # tables.decode(blob) == planned

May import: common, description, kernels, devicetree, hyperlaunch, inputs, partition.
"""
