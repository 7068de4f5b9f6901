"""What `import bootwright` offers to other programs: a small surface that stays (docs/library.md).

    image       build, check, inspect: an image from a description, what a build would refuse, what a file says
    boot        run: an image or a finished file under QEMU

    import bootwright
    made = bootwright.build("images/demo.toml", media=("iso",), output="out")
    done = bootwright.run(made.files["iso"], expect=("powering off",))

Each name is imported when it is first used. What is not named here or in docs/library.md may change with any version.

May import: common, devicetree, plan, image, media, artifact, lab, emulate.
"""
