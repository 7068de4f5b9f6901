"""A lab's coordinator, asked by a process of its own: labgrid's threads would stay in one that goes on.

    python -m bootwright.labgrid.coordinator lab.example:20408 list
    python -m bootwright.labgrid.coordinator lab.example:20408 acquire rome

On standard output one JSON document: a list of places, as lab.places.Place has them; whether acquiring changed anything
(false: this user has the place already); null for a release. A place is what has exactly this name, where labgrid's
own client takes a part of it, an alias, or what LG_ENV names.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from grpc.aio import AioRpcError
from labgrid.remote.client import ClientSession, Error, UserError, start_session
from labgrid.remote.generated import labgrid_coordinator_pb2 as messages

_REFUSED = (Error, AioRpcError)


def places(session: ClientSession) -> list[dict[str, Any]]:
    """Each place, and of what it matches the names by class."""
    found = []
    for name, place in sorted(session.places.items()):
        resources: dict[str, list[str]] = {}
        for exporter, groups in session.resources.items():
            for group, members in groups.items():
                for key, resource in members.items():
                    if match := place.getmatch((exporter, group, resource.cls, key)):
                        resources.setdefault(resource.cls, []).append(match.rename or key)
        tags = dict(place.tags)
        found.append({"name": name, "tags": tags, "acquired": place.acquired or None, "resources": resources})
    return found


async def acquire(session: ClientSession, name: str) -> bool:
    """Acquire a place for this user; False where that has it already. Raises UserError, AioRpcError."""
    place, us = _place(session, name), f"{session.gethostname()}/{session.getuser()}"
    if place.acquired == us:
        return False
    if place.acquired:
        raise UserError(f"{place.acquired} has it")
    session.check_matches(place)
    await session.stub.AcquirePlace(messages.AcquirePlaceRequest(placename=name))
    return True


async def release(session: ClientSession, name: str) -> None:
    """Release a place that this user has, on whatever machine. Raises UserError, AioRpcError."""
    place = _place(session, name)
    if not place.acquired:
        raise UserError("nobody has it")
    if place.acquired.split("/")[1] != session.getuser():
        raise UserError(f"{place.acquired} has it")
    await session.stub.ReleasePlace(messages.ReleasePlaceRequest(placename=name, fromuser=place.acquired))


def _place(session: ClientSession, name: str) -> Any:
    if name not in session.places:
        raise UserError("there is no such place")
    if (other := session.get_place(name)).name != name:  # drivers would be given that one's resources
        raise UserError(f"its name is an alias of yours for place {other.name}")
    return session.places[name]


def main(address: str, what: str, *names: str) -> None:
    """Print the answer; where there is none, end with a sentence."""
    try:
        session = start_session(address)
        answer: Any = None
        if what == "list":
            answer = places(session)
        else:
            answer = session.loop.run_until_complete({"acquire": acquire, "release": release}[what](session, *names))
        session.loop.run_until_complete(session.stop())
    except _REFUSED as error:
        sys.exit(str(error.details() if isinstance(error, AioRpcError) else error.args[0]))
    except Exception as error:  # gRPC's, labgrid's, the system's
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
