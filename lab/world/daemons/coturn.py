"""coturn: a STUN and TURN server of somebody else's make, for programs that bring their own ICE.

It listens on every address of its host. With two of them it answers RFC 5780's questions too, from the other
address and port, so that a client can find out what its NAT does. TURN (RFC 8656) wants a name and a
password; everybody knows them: punchlab, punchlab.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from lab.world.daemons.contract import Daemon, Event

PORT, OTHER_PORT = 3478, 3479  # RFC 8489 §8.1; the second is RFC 5780's alternate one
USER, PASSWORD = "punchlab", "punchlab"
LAST_THREAD = "(admin thread)"  # it starts after all that listen


class Coturn(Daemon):
    needs: ClassVar[tuple[str, ...]] = ("turnserver",)
    packages: ClassVar[Mapping[str, str]] = {"turnserver": "coturn"}
    is_plain: ClassVar[bool] = True

    def argv(self) -> list[str]:
        place = self.place
        argv = ["turnserver", "-n", "-m", "1", "--no-tls", "--no-dtls", "--no-cli"]
        argv += [word for each in place.addresses for word in ("-L", each)]
        argv += ["-p", str(PORT), f"--alt-listening-port={OTHER_PORT}"]
        argv += ["--lt-cred-mech", f"--user={USER}:{PASSWORD}", f"--realm={place.host}"]
        own = [f"--{key}={place.folder / key}" for key in ("pidfile", "db")]
        return [*argv, *own, "--log-file=stdout", *self.settings.get("args", ())]

    def says_ready(self, line: str, event: Event | None) -> bool:
        return LAST_THREAD in line
