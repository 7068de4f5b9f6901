"""The tasks: each is a sentence and a call. What they call is imported when they run.

A module of this folder is a room of tasks, and names them in TASKS, in the order of its list.
"""

from __future__ import annotations

from invoke.collection import Collection

from bootwright.cli import completion
from bootwright.cli.tasks import artifact, boot, deploy, descriptions, help, image, lab, machines

ROOMS = (
    descriptions,
    image,
    boot,
    deploy,
    machines,
    lab,
    artifact,
    help,
)

namespace = Collection(*(task for room in ROOMS for task in room.TASKS))
completion.install()
