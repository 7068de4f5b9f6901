"""A Hyperlaunch device tree as another spelling of a description: read, and written.

    fdt             the blob: every bound checked; the stub's reader follows it step by step
    dtc             the device tree compiler
    dts             the source, through dtc, with the place of every node and property
    bindings        names and values of the nodes, as bytes
    reader          a tree into a Description, by the same keys and rules as TOML
    writer          a Description into a tree

    from bootwright.devicetree import reader
    described = reader.describe(Path("lab.dts"), {1: Path("vmlinuz")})      # also takes .toml

The bindings are on the page docs/domain-builder.md.

May import: common, description.
"""
