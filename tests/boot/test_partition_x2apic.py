"""Two Debian systems on two cpus each with their local APICs in x2APIC mode. QEMU has that from version 9 on: where an
older one is installed, that of the distribution's backports is unpacked beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from comparing import compare_boot, variant
from unpacked import Unavailable, newer_qemu

from bootwright.common import paths
from bootwright.emulate import run
from bootwright.emulate.qemu import SVM_CPU, Outcome

pytestmark = pytest.mark.slow

CPUS = 2  # of each domain


def test_domains_have_x2apic_where_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        folder = newer_qemu()
    except Unavailable as reason:
        pytest.skip(f"not run: no QEMU with x2APIC is installed, and the backports have none: {reason}")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    built = variant(tmp_path, "pair", ('memory = "256M"', f'memory = "256M"\ncpus = {CPUS}'))
    options = run.Options(expect=["INIT-OK"] * 2, timeout=300, cpu=f"{SVM_CPU},+x2apic")
    result = run.boot(built, options, lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    compare_boot(result.transcript, built)
    lines = result.transcript.splitlines()
    assert any(line.startswith("bootwright: partition: AMD SVM, nested paging, x2APIC, ") for line in lines)
    for domain in ("d0", "d1"):
        said = "\n".join(line for line in lines if line.startswith(f"{domain}: "))
        assert "x2apic: enabled by BIOS, switching to x2apic ops" in said
        assert f"smp: Brought up 1 node, {CPUS} CPUs" in said
