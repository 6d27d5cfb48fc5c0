"""The node: WireGuard, disco and DERP in one process, `python -m node up`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from lab.world.daemons.contract import KEYLOG, PYTHON, Daemon


class Node(Daemon):
    needs_tun: ClassVar[bool] = True

    def argv(self) -> list[str]:
        place, roster = self.place, self.place.roster
        netmap = roster.netmap(place.host)
        argv = [PYTHON, "-m", "node", "up", "--tun", "ts0", "--control", self._control]
        argv += ["--netmap", place.write("netmap.json", json.dumps(netmap, indent=1))]
        argv += ["--keylog", str(place.folder / KEYLOG)]
        argv += ["--key", place.write("node.key", roster.members[place.host].key.text, 0o600)]
        if roster.relays:
            argv += ["--ca", place.write("ca.pem", roster.authority.certificate)]
        if port := self.settings.get("listen_port"):
            argv += ["--listen-port", str(port)]
        return [*argv, *self.settings.get("args", ())]

    def ping_argv(self, peer: str, options: Mapping[str, Any]) -> list[str] | None:
        if peer not in self.place.roster.members:
            return None
        argv = [PYTHON, "-m", "node", "ping", "--control", self._control, peer]
        for name in ("count", "timeout"):
            if options.get(name) is not None:
                argv += [f"--{name}", f"{options[name]:g}"]
        flags = {"until_direct": "--until-direct", "json": "--json"}
        return argv + [flag for name, flag in flags.items() if options.get(name)]

    def status_argv(self) -> list[str] | None:
        return [PYTHON, "-m", "node", "status", "--control", self._control, "--json"]

    @property
    def _control(self) -> str:
        return str(self.place.folder / "control.sock")
