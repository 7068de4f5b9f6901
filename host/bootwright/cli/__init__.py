"""What people type: the only part that prints, asks, and ends with a status.

    invoke_task     what every task shares: errors as sentences, statuses, positional arguments
    build           progress and results of building
    netboot         images served to machines that boot by network
    colours         what several domains print on one console, told apart
    boot            a machine under QEMU: its console, and how it ended
    console         the terminal as that console
    junit           a run as a report for CI systems
    flash           the candidates, the confirmation, sticks as they are put in
    writers         devices being written to, several at once, and their rates
    lab             machines read, listed, planned for
    planning        an image planned for a machine
    chart           pictures of memory and time
    artifact        finished images, looked into and changed
    descriptions    descriptions listed, checked, begun
    pages           the documentation, in the terminal
    completion      what a shell completes a command line with
    watching        a machine watched on its serial line, and judged
    boards          which boards of a lab are meant
    bench           places of a lab, and its boards, all at once
    bench_machines  the machines of a lab's boards: probed, and planned for
    bench_report    what became of them: a table, and reports
    doctor          whether building and booting work here
    explain         errors of the stub and captured logs, explained
    tools           the programs and files of other packages, all of them
    tasks/          each task, a sentence and a call, by rooms
    program         the installed command `bootwright`

May import: everything.
"""
