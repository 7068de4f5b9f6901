"""Which of an image's profiles is started, as stub/boot/profiles.asm chooses, and the lines that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.messages import line
from bootwright.plan.records import Plan

OPTION = "profile="


def chosen(plan: Plan, cmdline: str, key: int) -> tuple[tuple[str, ...], Plan]:
    """What is said, and the plan that is taken. cmdline: the stub's, whole; key: from 1 on, 0 for none."""
    plans = (plan, *plan.profiles)
    lines: list[str] = []
    found, by = None, "L_BY_CMDLINE"
    if (name := _named(cmdline)) is not None:
        found = next((one for one in plans if one.image.profile == name), None)
        lines += [line("M_PROFILE_UNKNOWN", name)] * (found is None)
    if found is None:
        lines += _menu(plan) if plan.image.menu_seconds else ()
        found, by = (plans[key - 1], "L_BY_KEY") if key and plan.image.menu_seconds else (plan, "L_BY_DEFAULT")
    lines.append(line("M_PROFILE", found.image.profile, load_abi().strings[by]))
    return tuple(lines), replace(found, profiles=())


def _named(cmdline: str) -> str | None:
    """The first word that names a profile, in front of a word "--"."""
    own, _ = words.split_hypervisors(cmdline)
    limit = load_abi().constants["MAX_NAME"] - 1
    return next((word[len(OPTION) :][:limit] for word in own.split(" ") if word.startswith(OPTION)), None)


def _menu(plan: Plan) -> Iterator[str]:
    plans = (plan, *plan.profiles)
    for number, one in enumerate(plans, start=1):
        yield line("M_PROFILE_ENTRY", number, one.image.profile, one.image.profile_title)
    yield line("M_PROFILE_ASK", plan.image.profile, plan.image.menu_seconds, len(plans))
