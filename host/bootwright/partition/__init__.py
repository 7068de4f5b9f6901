"""The data of the partition launcher's resident part: every byte of them but what only the machine can say.

    request         what is asked for, in plain numbers
    rules           what of it cannot be
    regions         a domain's memory as it sees it
    page_tables     nested tables, not relocated yet
    msr, cpuid      what a domain's cpus are told
    bitmaps         which ports and MSRs they reach by themselves
    vmcb            the states that they start in
    acpi            the tables that a domain finds
    information     what its kernel finds at the entry
    guest           all of that by guest address
    layout          every part a place, records and strings
    compute         the whole data
    resident        the resident part's program and its data as one kernel

    from bootwright.partition import compute, resident
    found = compute.compute(request)            # found.data goes to found.base
    resident.with_data(resident.link(cache).image, found)

May import: common, link, kernels.
"""
