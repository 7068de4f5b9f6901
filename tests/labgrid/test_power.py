"""Boards that are switched by a BMC, as docs/lab.md says it: ipmitool, and OpenIPMI's simulator of a BMC."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from bench_lab import MACHINE, Lab, described, free_port
from tasks_run import invoke

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="OpenIPMI's simulator is not installed"),
]

BMC = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{chassis}"
  user 2 true "admin" "secret" admin 10 none md2 md5 straight
"""
CONTROLLER = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""
# ipmi_sim(1), chassis_control: get|set power [0|1]
CHASSIS = """\
#!/bin/sh
[ "$1" = get ] || echo "$3" >>{calls}
case "$1 $2 $3" in
    "set power 1") exec {switch} on {board} {port} >/dev/null 2>&1 ;;
    "set power 0") exec {switch} off {board} {port} >/dev/null 2>&1 ;;
    "get power ") [ -f {board}/pid ] && echo power:1 || echo power:0 ;;
esac
"""


@contextmanager
def bmc(folder: Path, board: Path, port: int) -> Iterator[str]:
    """A BMC as long as the block runs; gives the ipmitool command for it."""
    own = free_port()
    chassis = folder / "chassis"
    chassis.write_text(
        CHASSIS.format(switch=f"{sys.executable} {MACHINE}", board=board, port=port, calls=folder / "calls")
    )
    chassis.chmod(0o755)
    (folder / "lan.conf").write_text(BMC.format(port=own, chassis=chassis))
    (folder / "sim.emu").write_text(CONTROLLER)
    (folder / "bmc.password").write_text("secret")
    command = ["ipmi_sim", "-c", "lan.conf", "-f", "sim.emu", "-s", str(folder), "-n", "-p"]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdin=nothing, stdout=nothing, stderr=nothing) as process:
        # -C: a cipher suite that it need not ask for, which takes 5 s each time here.
        tool = f"ipmitool -I lanplus -H 127.0.0.1 -p {own} -U admin -f {folder}/bmc.password -C 3 chassis power"
        try:
            for _ in range(20):
                if (
                    subprocess.run([*tool.split(), "status"], stdout=nothing, stderr=nothing, check=False).returncode
                    == 0
                ):
                    break
                time.sleep(0.2)
            yield tool
        finally:
            process.terminate()


def test_a_board_behind_a_bmc(lab: Lab, tmp_path: Path) -> None:
    file = lab.environment("two", described(lab, "by-bmc"), ready="demo: powering off")
    said = yaml.safe_load(file.read_text())
    with bmc(tmp_path, lab.folder / "two", lab.ports["two"]) as tool:
        power = {"cmd_on": f"{tool} on", "cmd_off": f"{tool} off", "delay": 0.1}
        said["targets"]["main"]["drivers"]["ExternalPowerDriver"] = power
        file.write_text(yaml.safe_dump(said, sort_keys=False))
        done = invoke("lab", "run", "--environment", str(file), "--json")
    (one,) = json.loads(done.stdout)["targets"]
    assert (one["error"], one["reached"]) == (None, "shell"), one
    assert not (lab.folder / "two/pid").exists()


def test_the_same_at_a_desk(lab: Lab, tmp_path: Path) -> None:
    """`watch --power` calls it with cycle and off behind it. The line is a pseudoterminal's, and says nothing."""
    master, both = pty.openpty()
    path = os.ttyname(both)
    os.close(both)
    keep = os.open(path, os.O_WRONLY | os.O_NOCTTY)
    with bmc(tmp_path, lab.folder / "two", lab.ports["two"]) as tool:
        done = invoke("watch", path, "--power", tool, "--off", "--timeout", "6")
    os.close(keep)
    os.close(master)
    assert done.returncode == 4 and "time-out after 6 s" in done.stderr, done
    told = (tmp_path / "calls").read_text().split()
    assert told[:3] == ["0", "1", "0"] and set(told[3:]) <= {"0"}, "cycle, and off in the end"
    assert not (lab.folder / "two/pid").exists()
