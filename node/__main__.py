"""`python -m node COMMAND`: the daemon, the relay, and the questions one can put to a running node.

Each command imports only what it needs: a daemon's first packet should not wait for a parser, nor
`genkey` for TLS.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence

USAGE = """\
usage: python -m node COMMAND ...

  up        run a node                        up --netmap F --key F --tun ts0
  derper    run a DERP relay                  derper --hostname NAME --cert F --key F
  status    who is there, and by which path   status --control F.sock
  ping      reach a peer, and say how         ping --control F.sock PEER [--until-direct]
  netcheck  what kind of network this is      netcheck --control F.sock
  reload    read the netmap again             reload --control F.sock
  genkey    make a private key                genkey > node.key
  pubkey    the public key of a private one   pubkey < node.key

`python -m node COMMAND --help` says more.
"""


def _up(argv: Sequence[str]) -> int:
    gc.disable()  # until all is loaded: to look for garbage meanwhile takes a tenth of the start
    from node.io.up import main

    return main(argv)


def _derper(argv: Sequence[str]) -> int:
    from node.io.derper import main

    return main(argv)


def _asking(command: str) -> Callable[[Sequence[str]], int]:
    def ask(argv: Sequence[str]) -> int:
        from node.io import ask

        return ask.main(command, argv)

    return ask


def _genkey(argv: Sequence[str]) -> int:
    from node.io.keys import genkey

    return genkey(argv)


def _pubkey(argv: Sequence[str]) -> int:
    from node.io.keys import pubkey

    return pubkey(argv)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "up": _up,
    "derper": _derper,
    "status": _asking("status"),
    "ping": _asking("ping"),
    "netcheck": _asking("netcheck"),
    "reload": _asking("reload"),
    "genkey": _genkey,
    "pubkey": _pubkey,
}


def _load_structs() -> None:
    """msgspec would load typing_extensions, if somebody has installed it: a tenth of a start, in vain."""
    if "typing_extensions" not in sys.modules:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        import msgspec  # noqa: F401

        del sys.modules["typing_extensions"]


def main(argv: Sequence[str]) -> int:
    word = argv[0] if argv else ""
    if word in COMMANDS:
        _load_structs()
        return COMMANDS[word](argv[1:])
    if word in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    print(f"node: no command {word!r}\n\n{USAGE}" if word else USAGE, end="", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
