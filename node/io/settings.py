"""What a node is told when it starts: its arguments and the two files they name.

Everything wrong here is one line for a person and exit status 2; what the machine cannot do is 3.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from node.io.errors import BAD_INPUT, Refused
from node.keys import BadKey, NodePrivate
from node.netmap import Netmap, NetmapError, parse_netmap

if TYPE_CHECKING:
    from node.wire.endpoint import Endpoint

PORT = 41641
WAYS = ("c", "numpy", "plain")  # through the data path, the fastest first


class Settings(Struct, frozen=True):
    """The arguments of `node up`, as the command line has them."""

    netmap: str
    key: str
    tun: str
    listen_port: int = PORT
    control: str | None = None
    ca: str | None = None
    proxy: str | None = None  # None: as HTTPS_PROXY and NO_PROXY say
    websocket: bool = False
    events: str = "-"
    verbose: bool = False
    endpoints: Sequence[Endpoint] = ()  # where peers are told to try as well
    port_mapping: int | None = None  # seconds of a mapping, 0: none; None: as RFC 6886 advises
    keylog: str | None = None
    data_path: str = "auto"
    rekey_after: float | None = None  # seconds; None: as WireGuard has it


def read_key(path: str) -> NodePrivate:
    try:
        with open(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(4096)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"key {path}: {_why(error)}", BAD_INPUT) from None
    if mode & 0o077:
        print(f"node: key {path}: others may read it (mode {mode:04o})", file=sys.stderr)
    try:
        return NodePrivate.parse(text)
    except BadKey as error:
        raise Refused(f"key {path}: {error}", BAD_INPUT) from None


def read_netmap(path: str) -> Netmap:
    try:
        with open(path) as file:
            return parse_netmap(file.read())
    except NetmapError as error:
        raise Refused(f"{path}: {error}", BAD_INPUT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {_why(error)}", BAD_INPUT) from None


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not text"
