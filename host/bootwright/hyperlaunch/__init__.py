"""The domain builder's model and its algorithm, with its names: the reference for what the stub does at boot.

    model           BootInfo, BootModule, BootDomain, DomainBuilder: a description with its files
    cmdline         the command line of a domain
    builder         the algorithm, step by step, with the lines that it prints

    from bootwright.hyperlaunch import builder, model
    info = model.build(described, files)
    lines, outcome = builder.transcript(builder.builder_init(info))

What the system is, is on the page docs/domain-builder.md, with the routine of the stub for each function here.

May import: common, description, devicetree.
"""
