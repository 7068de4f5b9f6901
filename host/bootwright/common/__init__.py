"""What everyone stands on: sentences with a place, the records of stub/abi, ranges, folders, a store, programs called.

Turns nothing into anything; each module is a word that the others speak in.

    errors      every error a user can meet, one sentence with its place; library code raises these
    abi         the records, constants and texts of stub/abi/*.h, declared once for both sides
    ranges      half-open ranges of physical addresses, and room between them
    pieces      runs of a packed module's bytes, and where each goes
    utf8        text of a file: UTF-8, with or without a byte order mark
    words       command lines, word by word
    interrupts  what is done whole before an interruption is taken
    children    processes that were started, ended where what wanted them was left
    json_shape  a JSON file held against what it has to look like
    messages    the lines that a boot prints, from stub/abi/messages.h and errors.h, and what finds them in a text
    excerpt     the line of a file that an error is about, with a mark
    terminal    what a console carries beside text
    columns     text in columns
    asciicast   recordings of a console, with times
    tool        programs and files of other packages: called, found, missed
    paths       where descriptions and output lie
    scratch     a folder for each process, and locks between them
    hashes      SHA-256 of files, those of large ones remembered, and files block by block
    store       what was made before, kept by what it was made of

    from bootwright.common import abi
    abi.load().constants["IMAGE_BASE"]          # 0x100000
    abi.load().format("M_TABLES", 622, 1, 2)    # the text that the stub prints, too

May import: nothing of bootwright.
"""
