"""The files that a description names: found, fetched from Debian packages, assembled, or made of both.

    debian          a file out of a package, without installing it
    cpio            a small ramdisk, of a busybox and a script
    resolve         every file of a description

    from bootwright.inputs import resolve
    files = resolve.resolve(described, workdir)         # {(OfDomain(0), "kernel"): Path, ...}

May import: common, asm, link, description.
"""
