"""The tasks of a checkout: those of the tool, and `test` for who works on it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "host"))
sys.dont_write_bytecode = False  # invoke turns it off; a checkout would be compiled anew in every run

from bootwright.cli.invoke_task import task  # noqa: E402
from bootwright.cli.tasks import namespace  # noqa: E402


def _tools() -> None:
    """Make tests/support and tests/tools importable. Raises Exit where an environment is for users alone."""
    if importlib.util.find_spec("xdist") is None:
        raise Exit("the libraries for tests are not installed: ./bootstrap test installs them", code=1)
    for folder in ("support", "tools"):
        sys.path.insert(0, str(ROOT / "tests" / folder))


@task(
    positional=["path"],
    help={
        "path": "only the tests there",
        "k": "only tests with such names",
        "fast": "nothing that boots a machine",
        "matrix": "instead: every image by every way on both firmwares, kept in docs/media.md; "
        "with -k only the cells that match, as `xen, uefi` or `^pxe`",
        "benchmark": "instead: what building costs, as ratios",
        "network": "instead: what network boot of 32 machines makes of a wire, as ratios; as root",
        "partition": "instead: what a partition costs under QEMU: exits by kind, processor time of boots",
        "coverage": "instead: what of the stub no test under Unicorn executes",
        "hostile": "instead: all that a hostile domain tries beside another one, which takes minutes",
    },
)
def test(
    context: Context,
    path: str = "",
    k: str = "",
    fast: bool = False,
    matrix: bool = False,
    benchmark: bool = False,
    network: bool = False,
    partition: bool = False,
    coverage: bool = False,
    hostile: bool = False,
) -> None:
    """Lint, types and tests; with a path or -k only those tests."""
    _tools()
    if matrix:
        from matrix import main

        raise Exit(code=0 if main(k) else 1)
    if benchmark:
        from benchmark import main as measure

        measure()
        return
    if network:
        from network_costs import main as serve_many

        serve_many()
        return
    if partition:
        from partition_costs import main as cost

        cost()
        return
    if coverage:
        from stub_coverage import main as cover

        raise Exit(code=cover())
    if hostile:
        from hostile_guests import main as try_all

        raise Exit(code=try_all())
    chosen = [path] * bool(path) + ["-k", k] * bool(k) + ["-m", "not slow"] * fast
    checks = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]]
    # One more at a time than there are cpus: a board, a server, a power switch is waited for.
    parallel = ["-n", str(len(os.sched_getaffinity(0)) + 1), "--dist", "worksteal"]
    whole = not (path or k)
    for command in [*checks * whole, ["pytest", *parallel * whole, *chosen]]:
        status = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode
        if status:
            raise Exit(code=status)


@task()
def docs(context: Context) -> None:
    """Write what is made from the source (pages of docs/, README.md, syntax files), and the site, build/site."""
    _tools()
    import pages
    import readme_page

    pages.write()
    readme_page.PAGE.write_text(readme_page.render(), encoding="utf-8")
    site = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    raise Exit(
        code=subprocess.run(site, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False).returncode
    )


namespace.add_task(test)
namespace.add_task(docs)
