"""The image: a plan and the linked stub into NAME.elf and NAME.efi, read back and described.

    stub            which files an image is linked from, and its two links
    elf_image       LIEF, for what it does well: a small ELF file changed in place
    patcher         the process in which it does so
    embed           NAME.elf: the patched stub, and modules behind it
    efi_image       NAME.efi, the same as a PE32+ application
    sign            its signature for Secure Boot
    verify          NAME.elf read back, by pyelftools and a reader of ours
    origin          what an image was made of, and whether it is current
    manifest        what it was made of, inside the image itself
    image_map       the map of an image: where everything lies; its text is NAME.map
    built           a built image on disk, by NAME.json: for the other packages
    build           the recipe, from description to image, in one function

    from bootwright.image import build
    built = build.build(Path("images/demo.toml"), stage=print)

May import: common, link, description, kernels, devicetree, hyperlaunch, inputs, plan.
"""
