"""What the user wrote, checked: a TOML file into a frozen Description, or an ErrorList of everything that is wrong.

    toml_tree       TOML with the place of every key and value
    readers         the values that a key may hold, each read and checked, or said what is wrong
    values          those that are particular to boot domains: amounts, consoles, files
    roles           roles and modes, their words and bits
    schema          every key: how it is read, its default, what it means; docs/description.md is made from it
    json_schema     the same keys for editors, as a JSON schema
    records         what a description says, as frozen records
    consoles        {console} in a command line, and the words it stands for
    profiles        several ways to start one image: the description with something else in it
    partitions      what must hold where every domain gets cpus and memory of its own
    rules           what must hold between its tables
    load            the file into a Description

    from bootwright.description import load
    described = load.load(Path("images/demo.toml"))
    described.domains[0].place("cmdline")       # Where: file, line and column, for errors of later stages

What is checked here needs nothing but the text. Whether files exist is found out by `inputs`, whether they fit by
`plan`.

May import: common.
"""
