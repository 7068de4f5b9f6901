"""Sticks and disks: which there are, and an image written to one, read back and compared.

    block_devices   what there is, what is in use, and what must not be written to
    source          the image, unpacked while it is read where it is packed
    target          a disk or a file: whether it may be written over; opened
    watch           sticks as they are put in
    write           bytes to a device, and back

May import: common, media.
"""
