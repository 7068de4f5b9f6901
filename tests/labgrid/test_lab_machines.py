"""Machines of a lab: probed, planned for, and as they were planned."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bench_lab import Lab, described, four
from project import ROOT
from tasks_run import invoke

from bootwright.cli import planning
from bootwright.lab import report as lab_report

pytestmark = pytest.mark.slow

IN_FOLDER = (
    "from pathlib import Path; from bootwright.cli import program; from bootwright.common import paths; "
    "paths.root = Path.cwd; program.main()"
)


def test_machines_are_probed_all_at_once_and_planned_for(lab: Lab, tmp_path: Path) -> None:
    """Each report is that of its own board; an image that one of them has no memory for is named, and so is a machine
    that nobody probed.
    """
    said = yaml.safe_load(four(lab, "64M").read_text())
    said["targets"]["two"]["drivers"]["ExternalPowerDriver"]["cmd_on"] += " -m 128"
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(said, sort_keys=False))

    def there(*arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, whose machines are below the folder."""
        command = [sys.executable, "-c", IN_FOLDER, "lab", *arguments, "--environment", "lab.yaml"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "host")}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = there("probe", "--target", "one", "--target", "two")
    assert done.returncode == 0 and "511 MiB of RAM" in done.stdout and "127 MiB of RAM" in done.stdout, done
    memory = {name: lab_report.load(str(tmp_path / f"machines/{name}.json")).ram >> 20 for name in ("one", "two")}
    assert memory == {"one": 511, "two": 127}
    image = str(described(lab, "roomy", "256M"))
    done = there("plan", image, "--target", "one", "--target", "two", "--target", "three", "--json")
    found = {one["target"]: one for one in json.loads(done.stdout)["machines"]}
    assert done.returncode == 1 and [found[name]["fits"] for name in ("one", "two", "three")] == [True, False, None]
    assert "this machine has 130559 KiB" in found["two"]["reason"] and "not probed" in found["three"]["reason"]
    assert there("plan", image, "--target", "one").returncode == 0
    done = there("plan")
    assert done.returncode == 1 and "lab plan: which image?" in done.stderr


def test_a_real_machine_is_as_it_was_planned(lab: Lab) -> None:
    """It is probed, and the demo's console on it is that of the reference, but for what another memory would change."""
    environment = lab.environment("two", described(lab, "unused"), ready="unused")
    consoles = []
    for name, text in (("probe", "probe: powering off"), ("demo", "demo: powering off")):
        done = invoke("lab", "run", name, "--environment", str(environment), "--expect", text, "--json")
        assert done.stdout, done.stderr
        (one,) = json.loads(done.stdout)["targets"]
        assert one["error"] is None, one
        consoles.append(one["transcript"])
    report = lab_report.extract(consoles[0].encode())
    with planning.prepared(ROOT / "images/demo.toml", lambda stage: None) as planned:
        assert planned.differences(report, consoles[1]) == [], consoles[1]
        less = lab_report.Report(json.loads(json.dumps(report.document)), report.entered)
        largest = max(less.document["memory"], key=lambda part: (part["type"] == 1, int(part["size"], 16)))
        largest["size"] = f"{int(largest['size'], 16) - (1 << 20):#x}"
        assert any("memory" in said for said in planned.differences(less, consoles[1]))
