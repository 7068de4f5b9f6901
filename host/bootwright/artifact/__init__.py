"""An image as it lies in a file, on a medium or on a device: looked into, taken apart, changed in place.

    stored          the images in a file or on a device: where each part of them lies, and whether it is right
    bootable        the same as what boots it takes it
    describe        what such an image says of itself
    layout          how a medium is laid out: partition tables, partitions
    file_systems    the file systems on it: files, and what is free
    foreign         what a file is that has none
    modules         a module's bytes as the kernel gets them
    change          another command line, another ramdisk: checksums, hashes and build id with it
    rebuild         an image made anew out of itself, where a module has no room
    difference      two images compared by what they say

    from bootwright.artifact import stored
    for image in stored.find(Path("build/lab/lab.iso")):
        print(image.form, image.plan, image.manifest)

Nothing but the file itself is needed: no NAME.json, no sources.

May import: common, link, description, kernels, plan, image, media.
"""
