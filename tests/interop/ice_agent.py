"""An ICE agent (RFC 8445, by aioice) as a daemon: the class that a lab asks, and the program that it runs.

    runs = "tests.interop.ice_agent:IceAgent"
    args = ["node-b"]                           # whom to connect to; a TURN server's host, if there is one

Two agents exchange their descriptions as files in each other's folder: the signalling, which ICE leaves to
others. An agent's candidates are its own addresses, and what the relay's STUN server tells it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

from lab.world.daemons.contract import PYTHON, Daemon
from lab.world.daemons.coturn import PASSWORD, PORT, USER

OFFER = "offer.json"
LOOK = 0.05  # seconds between two looks at the other's folder
TALK = 0.1  # seconds between two words
PATIENCE = 3  # retransmissions of a check, so 7.5 s, where aioice has 6 and a minute


class IceAgent(Daemon):
    def argv(self) -> list[str]:
        place = self.place
        other, *turn = self.settings["args"]
        [relay] = place.roster.relays.values()
        stun = f"{relay.hostname}:{relay.stun_port}"
        there = place.folder.parent / other
        argv = [PYTHON, __file__, place.host, other, str(place.folder), str(there), stun]
        return [*argv, *(f"--turn={host}" for host in turn)]


async def connect(
    me: str, other: str, here: Path, there: Path, stun: tuple[str, int], turn: str | None
) -> None:
    import aioice

    aioice.stun.RETRY_MAX = PATIENCE
    agent = aioice.Connection(
        ice_controlling=me < other,
        stun_server=stun,
        turn_server=(turn, PORT) if turn else None,
        turn_username=USER,
        turn_password=PASSWORD,
        use_ipv6=False,
    )
    await agent.gather_candidates()
    candidates = [each.to_sdp() for each in agent.local_candidates]
    put(here, [agent.local_username, agent.local_password, candidates])
    say("ready")
    say("endpoints", endpoints=[f"{each.host}:{each.port}" for each in agent.local_candidates])
    agent.remote_username, agent.remote_password, candidates = await got(there)
    for each in candidates:
        await agent.add_remote_candidate(aioice.Candidate.from_sdp(each))
    await agent.add_remote_candidate(None)
    try:
        await agent.connect()
    except ConnectionError as error:
        say("failed", why=str(error))
        return
    pair = agent._nominated[1]  # aioice has no other word for it
    remote, types = pair.remote_candidate, (pair.local_candidate.type, pair.remote_candidate.type)
    kind = "relay" if "relay" in types else "direct"
    say("path", peer=other, kind=kind, via=f"{remote.host}:{remote.port}")
    await talk(agent)


async def talk(agent: Any) -> None:
    """A word now and then; each that comes is told."""

    async def listen() -> None:
        count = 0
        while True:
            await agent.recv()
            count += 1
            say("heard", count=count)

    listening = asyncio.create_task(listen())
    while not listening.done():
        await agent.send(b"a word")
        await asyncio.sleep(TALK)


def put(folder: Path, description: object) -> None:
    """Whole or not at all, because the other one is looking."""
    new = folder / "offer.new"
    new.write_text(json.dumps(description))
    os.replace(new, folder / OFFER)


async def got(folder: Path) -> Any:
    while not (folder / OFFER).exists():
        await asyncio.sleep(LOOK)
    return json.loads((folder / OFFER).read_text())


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("me")
    parser.add_argument("other")
    parser.add_argument("here", type=Path)
    parser.add_argument("there", type=Path)
    parser.add_argument("stun")
    parser.add_argument("--turn")
    args = parser.parse_args()
    host, _, port = args.stun.rpartition(":")

    async def run() -> None:
        await connect(args.me, args.other, args.here, args.there, (host, int(port)), args.turn)
        await asyncio.Event().wait()  # what it found is told; whoever started it ends it

    asyncio.run(run())


if __name__ == "__main__":
    main()
