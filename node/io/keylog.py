"""The key log: what Wireshark needs to open our tunnels in a capture (its wg.keylog_file).

Only for who asked for it with `--keylog`. Whoever has this file reads all traffic, and our private key:
it has mode 0600 from its first moment.

A handshake that went through a relay is in no capture, for it was inside TLS; and Wireshark opens no session
whose handshake it has not seen. So our half of it is logged too, in a line that Wireshark itself skips.
"""

from __future__ import annotations

import base64
import os
import sys

from node.core.device_outputs import HandshakeSecrets
from node.io.errors import BAD_INPUT, Refused


class KeyLog:
    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o600)
            os.fchmod(self._fd, 0o600)
        except OSError as error:
            raise Refused(f"--keylog {path}: {error.strerror}", BAD_INPUT) from None
        print(f"node: WireGuard's keys are logged to {path}", file=sys.stderr)

    def write(self, secrets: HandshakeSecrets) -> None:
        """One handshake, in the order that Wireshark wants: each line counts for those after it."""
        words = {
            "LOCAL_STATIC_PRIVATE_KEY": secrets.static,
            "REMOTE_STATIC_PUBLIC_KEY": secrets.peer.raw,
            "LOCAL_EPHEMERAL_PRIVATE_KEY": secrets.ephemeral,
            "PRESHARED_KEY": secrets.preshared,
            "HANDSHAKE_MESSAGE": secrets.message,
        }
        lines = [f"{word} = {base64.b64encode(raw).decode()}\n" for word, raw in words.items()]
        os.write(self._fd, "".join(lines).encode())
