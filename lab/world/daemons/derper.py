"""The relay: a DERP and STUN server, `python -m node derper`, with a certificate from the lab's authority."""

from __future__ import annotations

from lab.world.daemons.contract import PYTHON, TLS_KEYLOG, Daemon
from lab.world.roster import Secret


class Derper(Daemon):
    def argv(self) -> list[str]:
        place = self.place
        relay = place.roster.relays[place.host]
        certificate, key = place.roster.authority.issue(relay.hostname)
        argv = [PYTHON, "-m", "node", "derper", "--hostname", relay.hostname]
        argv += ["--cert", place.write("cert.pem", certificate)]
        argv += ["--key", place.write("cert.key", key, 0o600)]
        argv += ["--ca", place.write("ca.pem", place.roster.authority.certificate)]  # for a mesh
        argv += ["--keylog", str(place.folder / TLS_KEYLOG)]
        argv += ["--derp-key", place.write("derp.key", Secret.new().text, 0o600)]
        return [*argv, *self.settings.get("args", ())]
