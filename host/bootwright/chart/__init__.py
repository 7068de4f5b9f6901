"""Pictures of an image: the machine's memory at each stage of a boot, and the time that a boot takes.

    regions         what lies where at one stage: regions that share no byte, and their sums
    boots           the stages of a boot: of one that was computed for a machine, or of one whose log was kept
    palette         how each kind of region looks: a colour, a pattern, a letter
    words           sizes and texts as pictures write them
    scale           a scale that several stages share: long stretches are shortened, short ones are seen
    timeline        the stages of a recorded boot, with their milliseconds
    svg             what drawings are made of
    memory_svg      the memory as a drawing
    time_svg        the time as a drawing
    page            both as one page of HTML
    terminal        both as rows of characters
    document        both for programs, as JSON has them

    chart = boots.of_fit(found, plan, parts)        # boots.Chart
    path.write_text(memory_svg.draw(chart))

May import: common, hyperlaunch, plan, reference, lab.
"""
