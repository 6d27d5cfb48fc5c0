"""The relay as a program: `python -m node derper --hostname nyc.derp.example ...`.

DERP over TLS on TCP 443 and STUN on UDP 3478, until SIGTERM or SIGINT. Events go to stdout as JSON
lines: `ready`, `client_connected`, `client_gone`, `mesh_connected`, `mesh_lost`, `stopped`. Exit
status 2: something given is wrong; 3: this machine cannot do it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from node.io.derper_arguments import arguments
from node.io.errors import Refused
from node.io.relay_ports import take_ports


def main(argv: Sequence[str]) -> int:
    try:
        given = arguments(argv)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nothing is read yet that could be read again
        sockets = take_ports(given.listen)
        from node.io.derper_settings import settings_from  # now that nobody is refused any more
        from node.io.relay_daemon import run

        run(settings_from(given), sockets)
    except Refused as refused:
        print(f"derper: {refused}", file=sys.stderr)
        return refused.status
    return 0
