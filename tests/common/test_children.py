"""Processes that a block has started are ended where it is left by an exception, and no others."""

from __future__ import annotations

import subprocess

import pytest

from bootwright.common.children import no_child_left


def test_what_was_started_in_it_is_ended() -> None:
    """By a library that does not do that itself."""
    with subprocess.Popen(["sleep", "300"]) as before:
        with pytest.raises(KeyboardInterrupt), no_child_left():
            inside = subprocess.Popen(["sleep", "300"])
            raise KeyboardInterrupt
        assert inside.poll() is not None and before.poll() is None
        before.kill()


def test_a_block_that_ends_well_keeps_them() -> None:
    with no_child_left():
        process = subprocess.Popen(["sleep", "300"])
    assert process.poll() is None
    process.kill()
    process.wait()
