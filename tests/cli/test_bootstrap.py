"""bootstrap: sets up once, repairs what was interrupted, and stays out of the way afterwards.

Stand-ins for Python, dpkg and apt on PATH write down how they were called; the slow test takes the real ones.
"""

import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from page_commands import blocks, commands
from project import ROOT

# `python -m venv` makes bin/python a link to this same stand-in, as a real one links to its base.
PYTHON = f"""#!/bin/sh
printf '%s\\n' "python $*" >>"$LOG"
case "$*" in
    *"import ensurepip"*) [ -z "$NO_ENSUREPIP" ] || exit 1;;
    "-m venv"*) for last; do :; done; rm -rf "$last"/*; mkdir -p "$last/bin"; ln -s "$0" "$last/bin/python";;
    "-m pip"*) [ -z "$NO_PIP" ] || {{ echo "pip: $NO_PIP"; exit 1; }};;
    *) exec {sys.executable} "$@";;
esac
"""
DPKG = """#!/bin/sh
for last; do :; done
case " $INSTALLED $(cat "$LOG.installed" 2>/dev/null) " in
    *" $last "*) echo installed;;
    *) exit 1;;
esac
"""
APT = """#!/bin/sh
printf '%s\\n' "apt-get $*" >>"$LOG"
case "$*" in
    *" update") touch "$LOG.updated";;
    *" install "*)
        [ -z "$OLD_LISTS" ] || [ -e "$LOG.updated" ] || exit 100
        echo "$*" >"$LOG.installed";;
esac
"""


LISTS = ("requirements.lock", "packages.txt", "requirements-lab.lock", "requirements-test.lock", "packages-test.txt")


class Checkout:
    """A checkout with a task `hello`, and a PATH with nothing but the stand-ins and the usual small tools."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.log = folder / "log"
        self.bin = folder / "bin"
        self.root.mkdir(parents=True)
        self.bin.mkdir()
        for name in ("bootstrap", *LISTS):
            shutil.copy(ROOT / name, self.root)
        (self.root / "tasks.py").write_text(
            "from invoke.tasks import task\n@task\ndef hello(context):\n    print('hello from the task')\n"
            "@task\ndef test(context):\n    print('tested')\n@task\ndef lab(context):\n    print('in the lab')\n"
        )
        small = "cat cmp cut dirname env grep id mkdir ln printf readlink rm sed sh sleep tail tee touch"
        for name in small.split():
            found = shutil.which(name)
            if found:
                (self.bin / name).symlink_to(found)
        self.stand_in("python3", PYTHON)
        self.stand_in("dpkg-query", DPKG)
        self.installed = " ".join([*self.packages(), *self.packages("packages-test.txt")])

    def packages(self, file: str = "packages.txt") -> list[str]:
        lines = (self.root / file).read_text().splitlines()
        return [words[0] for line in lines if (words := line.partition("#")[0].split())]

    def stand_in(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)  # a link to the system's own program, which must not be written through
        path.write_text(script)
        path.chmod(0o755)

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> tuple[int, str, str]:
        """Status, standard output, standard error."""
        self.log.write_text("")
        surroundings = {
            "PATH": str(self.bin),
            "LOG": str(self.log),
            "INSTALLED": self.installed,
            "CI": "true",
        }
        done = subprocess.run(
            [self.root / "bootstrap", *(arguments or ("hello",))],
            cwd=cwd or self.root,
            env=surroundings | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def called(self, what: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if what in line]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_sets_up_once(checkout: Checkout) -> None:
    status, out, err = checkout.run()
    assert (status, out) == (0, "hello from the task\n")
    assert err.startswith("bootstrap: setting up ")
    assert checkout.called("--require-hashes")
    assert checkout.run() == (0, "hello from the task\n", "")
    assert len(checkout.called("python")) == 1, "nothing but the task is run"


def test_any_folder_and_after_a_move(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run(cwd=tmp_path)
    assert checkout.run(cwd=Path("/")) == (0, "hello from the task\n", "")
    moved = tmp_path / "another place"
    checkout.root.rename(moved)
    checkout.root = moved
    assert checkout.run() == (0, "hello from the task\n", "")


@pytest.mark.parametrize("name", ["requirements.lock", "packages.txt"])
def test_sets_up_anew_when_the_lock_changes(name: str, checkout: Checkout) -> None:
    checkout.run()
    with (checkout.root / name).open("a") as file:
        file.write("# changed\n")
    checkout.run()
    assert checkout.called("-m pip install")


def test_interrupted_set_up_is_repaired(checkout: Checkout) -> None:
    status, out, err = checkout.run(NO_PIP="no such wheel")
    assert (status, out) == (1, "")
    assert "cannot install requirements.lock" in err
    assert "pip: no such wheel" in err
    assert checkout.run()[:2] == (0, "hello from the task\n")
    (checkout.root / ".venv/bin/python").unlink()
    assert checkout.run()[:2] == (0, "hello from the task\n")


def test_status_of_the_task(checkout: Checkout) -> None:
    file = checkout.root / "tasks.py"
    file.write_text(file.read_text().replace("print('hello from the task')", "raise SystemExit(5)"))
    assert checkout.run()[0] == 5
    assert checkout.run()[0] == 5


def test_who_uses_it_gets_nothing_for_tests(checkout: Checkout) -> None:
    """Their libraries and packages come with the first `test`, and once."""
    checkout.stand_in("apt-get", APT)
    checkout.stand_in("id", "#!/bin/sh\necho 0\n")
    only = " ".join(checkout.packages())
    assert checkout.run(INSTALLED=only)[0] == 0
    assert not checkout.called("requirements-test.lock")
    assert not checkout.called("apt-get")
    status, out, err = checkout.run("-e", "test", INSTALLED=only)
    assert (status, out) == (0, "tested\n")
    assert len(checkout.called("requirements-test.lock")) == 1
    assert checkout.called("apt-get")[0].split()[7:] == checkout.packages("packages-test.txt")
    assert "libraries of requirements-test.lock" in err
    assert checkout.run("test")[2] == ""
    with (checkout.root / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    checkout.run("test")
    assert len(checkout.called("-m pip install")) == 2, "an environment that is made anew has neither"


def test_labgrid_comes_with_the_first_lab_or_with_the_tests(checkout: Checkout) -> None:
    assert checkout.run("lab")[:2] == (0, "in the lab\n")
    assert len(checkout.called("requirements-lab.lock")) == 1
    assert checkout.run("lab")[1:] == ("in the lab\n", "")
    assert checkout.run("test")[1] == "tested\n"
    (checkout.root / ".venv/bootstrap-lab-stamp").unlink()
    checkout.run("lab")
    assert not checkout.called("-m pip install"), "what tests need has it"


@pytest.mark.parametrize("said", ["Failed to establish a new connection: [Errno 101]", "Read timed out."])
def test_without_a_network_it_is_one_sentence(said: str, checkout: Checkout) -> None:
    status, out, err = checkout.run(NO_PIP=said)
    assert (status, out) == (1, "")
    assert [line for line in err.splitlines() if "setting up" not in line and "installing" not in line] == [
        "bootstrap: no network: the libraries of requirements.lock are fetched once; connect it, or name a folder that "
        "has them in PIP_FIND_LINKS"
    ]
    assert checkout.run()[:2] == (0, "hello from the task\n")


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_bootwrights(option: str, checkout: Checkout) -> None:
    package = checkout.root / "host/bootwright"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "9.8.7"\n')
    assert checkout.run(option)[:2] == (0, "bootwright 9.8.7\n")
    assert checkout.run("hello")[:2] == (0, "hello from the task\n")


def test_no_python(checkout: Checkout) -> None:
    (checkout.bin / "python3").unlink()
    status, out, err = checkout.run()
    assert (status, out) == (1, "")
    assert err == "bootstrap: Python 3.11 or newer is needed, and none was found\n"


def test_installs_what_is_missing(checkout: Checkout) -> None:
    checkout.stand_in("apt-get", APT)
    checkout.stand_in("id", "#!/bin/sh\necho 0\n")
    installed = " ".join(set(checkout.packages()) - {"xorriso", "mtools"})
    status, out, err = checkout.run(INSTALLED=installed)
    assert (status, out) == (0, "hello from the task\n")
    assert "installing system packages: xorriso mtools\n" in err
    assert [line.split()[5:] for line in checkout.called("apt-get")] == [
        ["install", "--no-install-recommends", "xorriso", "mtools"]
    ]


def test_fetches_package_lists_only_when_needed(checkout: Checkout) -> None:
    checkout.stand_in("apt-get", APT)
    checkout.stand_in("id", "#!/bin/sh\necho 0\n")
    checkout.run(INSTALLED="", OLD_LISTS="1")
    assert [line.split()[5] for line in checkout.called("apt-get")] == ["install", "update", "install"]


def test_uses_sudo_without_asking_where_nobody_could_answer(checkout: Checkout) -> None:
    checkout.stand_in("apt-get", APT)
    checkout.stand_in("id", "#!/bin/sh\necho 1000\n")
    checkout.stand_in("sudo", '#!/bin/sh\nprintf "%s\\n" "sudo $*" >>"$LOG"\nshift\nexec "$@"\n')
    assert checkout.run(INSTALLED="")[0] == 0
    assert checkout.called("sudo -n env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=60 install")


@pytest.mark.parametrize("apt", [False, True])
def test_without_apt_or_rights_it_says_so_and_goes_on(apt: bool, checkout: Checkout) -> None:
    if apt:
        checkout.stand_in("apt-get", APT)
        checkout.stand_in("id", "#!/bin/sh\necho 1000\n")
    status, out, err = checkout.run(INSTALLED="qemu-system-x86 ovmf")
    assert (status, out) == (0, "hello from the task\n")
    assert not checkout.called("apt-get")
    named = [line for line in err.splitlines() if "not installed" in line]
    assert len(named) == 1
    assert named[0].rstrip().endswith(" ".join(checkout.packages()[2:]))


def test_installs_the_venv_module_where_debian_left_it_out(checkout: Checkout) -> None:
    checkout.stand_in("apt-get", APT)
    checkout.stand_in("id", "#!/bin/sh\necho 0\n")
    status, _, err = checkout.run(NO_ENSUREPIP="1")
    assert status == 0
    version = ".".join(map(str, sys.version_info[:2]))
    assert f"installing system packages: python{version}-venv" in err


@pytest.mark.parametrize("name", ["requirements", "requirements-lab", "requirements-test"])
def test_the_lock_names_no_address_and_has_every_requirement(name: str) -> None:
    lock = (ROOT / f"{name}.lock").read_text()
    assert "://" not in lock
    assert "index" not in lock
    pinned = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    wanted = (ROOT / f"{name}.in").read_text().splitlines()
    names = {words[0] for line in wanted if (words := line.partition("#")[0].split())}
    assert {name.replace(".", "-") for name in names} <= pinned


def test_the_locks_agree() -> None:
    locks = [(ROOT / name).read_text().splitlines() for name in LISTS if name.endswith(".lock")]
    versions = [dict(line.split(" ")[0].split("==") for line in lock if "==" in line) for lock in locks]
    for one, other in itertools.combinations(versions, 2):
        both = one.keys() & other.keys()
        assert both and all(one[name] == other[name] for name in both)


@pytest.mark.slow
def test_for_real(tmp_path: Path) -> None:
    """A fresh copy is set up from the lock alone; the second run costs next to nothing over plain invoke."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".cache", "build", ".*_cache", "__pycache__")
    root = tmp_path / "checkout"
    shutil.copytree(ROOT, root, ignore=ignored)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | {"CI": "true"}

    def seconds(*command: str | Path) -> float:
        started = time.monotonic()
        subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.monotonic() - started

    seconds(root / "bootstrap", "--list")
    with_set_up = min(seconds(root / "bootstrap", "--list") for _ in range(5))
    without = min(seconds(root / ".venv/bin/python", "-m", "invoke", "--list") for _ in range(5))
    assert with_set_up - without < 0.3
    assert seconds(root / "bootstrap", "image") < 30
    assert (root / "build/demo/demo.elf").exists()


@pytest.mark.slow
def test_installed_package(tmp_path: Path) -> None:
    """`pip install .` gives the command `bootwright`, which builds the images that come with it, anywhere."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    bin = tmp_path / "venv/bin"
    install = [bin / "python", "-m", "pip", "install", "-q", ROOT]
    subprocess.run(install, env=environment, stdin=subprocess.DEVNULL, check=True)
    empty = tmp_path / "empty"
    empty.mkdir()

    def bootwright(*arguments: str) -> str:
        command = [bin / "bootwright", *arguments]
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    listed = bootwright("--list")
    assert "image" in listed
    assert "test" not in listed
    assert bootwright("docs", "tutorial") == (ROOT / "docs/tutorial.md").read_text()
    assert bootwright("image").startswith("build/demo/demo.elf (")
    assert (empty / "build/demo/demo.elf").exists()
    assert "demo: powering off" in bootwright("run", "demo", "--expect", "powering off")
    # The tutorial, word for word; what it fetches was fetched before.
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / ".cache").symlink_to(ROOT / ".cache")
    for kind, _, text in blocks((ROOT / "docs/tutorial.md").read_text(encoding="utf-8")):
        if kind != "needs" and (script := commands(text).replace("./bootstrap", str(bin / "bootwright"))):
            subprocess.run(["bash", "-ec", script], cwd=lab, env=environment, stdin=subprocess.DEVNULL, check=True)


def test_an_environment_that_a_link_leads_to_is_left_alone(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    theirs = tmp_path / "theirs"
    (theirs / "bin").mkdir(parents=True)
    (theirs / "bin/tool").write_text("of another checkout")
    (checkout.root / ".venv").symlink_to(theirs)
    status, said, _ = checkout.run("hello")
    assert (status, said.strip()) == (0, "hello from the task")
    assert (theirs / "bin/tool").read_text() == "of another checkout"
    assert not (checkout.root / ".venv").is_symlink()
    assert "/.venv" in (ROOT / ".gitignore").read_text().splitlines(), "as a folder and as a link"
