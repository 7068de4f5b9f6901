"""Tasks: boards of a lab, by labgrid."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.cli.invoke_task import task


@task(
    positional=["what", "name"],
    iterable=["place", "tag", "target"],
    help={
        "what": "list, acquire, release: places; of boards all at once, run: boot and judge each, probe: store what "
        "machine each is, plan: on which of these an image fits",
        "name": "run, plan: the image for all, as for image (run's default: what each target of the environment says)",
        "place": "this place; may be given again",
        "tag": "places with this tag, as KEY or KEY=VALUE; given again: with all of them",
        "environment": "a YAML file of labgrid's with drivers for boards (docs/lab.md)",
        "target": "of the environment only this one; may be given again",
        "coordinator": "HOST:PORT of labgrid's coordinator (default: the environment's, LG_COORDINATOR)",
        "sticks": "folder in which a place's tag `stick` names a file (default: /dev/disk/by-id, of what is removable)",
        "state": "booted, launched or shell: what each is to reach (default: shell if it can be told, or launched)",
        "expect": "text that each console must show to be up, in place of what the target says",
        "junit": "write a JUnit report to this file",
        "html": "write a page with transcripts and differences from the plan to this file",
        "json": "one JSON document instead of lines",
    },
)
def lab(
    context: Context,
    what: str = "list",
    name: str = "",
    place: list[str] | None = None,
    tag: list[str] | None = None,
    environment: str = "",
    target: list[str] | None = None,
    coordinator: str = "",
    sticks: str = "",
    state: str = "",
    expect: str = "",
    junit: str = "",
    html: str = "",
    json: bool = False,
) -> None:
    """Places of a lab with labgrid: list, acquire, release; boards: run, probe, plan. Status 1 if one failed."""
    from bootwright.cli import bench, bench_machines
    from bootwright.cli.boards import Lab
    from bootwright.common.errors import RunError
    from bootwright.common.words import none_of

    if what != "run" and (junit or html):
        raise RunError(f"lab {what}: a report (--junit, --html) is of lab run")
    said = Lab(environment, coordinator, place or (), tag or (), target or (), sticks)
    if what == "run":
        wanted = bench.Wanted(name, state, expect)
        raise Exit(code=0 if bench.run(said, wanted, {"junit": junit, "html": html}, json) else 1)
    if what == "probe":
        raise Exit(code=0 if bench_machines.probe(said, json) else 1)
    if what == "plan" and not name:
        raise RunError("lab plan: which image? its name comes behind it")
    if what == "plan":
        raise Exit(code=0 if bench_machines.plan(said, name, json) else 1)
    if what in ("acquire", "release"):
        raise Exit(code=0 if bench.hand(said, what) else 1)
    if what != "list":
        raise RunError(f"lab: {none_of(what, ('list', 'acquire', 'release', 'run', 'probe', 'plan'))}")
    bench.show(said, json)


@task(
    positional=["line"],
    iterable=["expect", "fail"],
    help={
        "line": "a serial line, as /dev/ttyUSB0, at 115200 baud",
        "power": "a command that takes on, off or cycle behind it: the machine is switched when somebody listens",
        "expect": "text that the line must show; may be given again; without it the stub must launch something",
        "fail": "text that must not be shown: it ends with status 6; may be given again",
        "timeout": "seconds for all of it",
        "record": "write what the line said, with times, as an asciicast: for map --log",
        "junit": "write a JUnit report to this file",
        "json": "one JSON document in place of the line's text",
        "off": "switch the machine off in the end",
    },
)
def watch(
    context: Context,
    line: str = "",
    power: str = "",
    expect: list[str] | None = None,
    fail: list[str] | None = None,
    timeout: float = 300.0,
    record: str = "",
    junit: str = "",
    json: bool = False,
    off: bool = False,
) -> None:
    """Watch a machine on its serial line, and judge its boot. The statuses are those of run."""
    from bootwright.cli import watching

    raise Exit(code=watching.run(line, power, expect or (), fail or (), timeout, record, junit, json, off))


TASKS = (lab, watch)
