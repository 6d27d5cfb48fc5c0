"""genkey and pubkey: keys as text, from and to pipes and files."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from node.io.errors import BAD_INPUT
from node.keys import BadKey, NodePrivate


def genkey(argv: Sequence[str]) -> int:
    """A new private key on stdout. With a file's name: into that new file, readable by us alone."""
    text = NodePrivate.from_seed(os.urandom(32)).to_file_text() + "\n"
    if not argv:
        sys.stdout.write(text)
        return 0
    if len(argv) > 1 or argv[0].startswith("-"):
        return _usage("genkey [FILE]", argv)
    try:
        fd = os.open(argv[0], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return _refuse(f"genkey: {argv[0]}: {error.strerror}")
    with os.fdopen(fd, "w") as file:
        file.write(text)
    return 0


def pubkey(argv: Sequence[str]) -> int:
    """The public key of the private one on stdin, or in the file."""
    if len(argv) > 1 or any(each.startswith("-") for each in argv):
        return _usage("pubkey [FILE]", argv)
    try:
        if argv:
            with open(argv[0]) as file:
                text = file.read(4096)
        else:
            text = sys.stdin.read(4096)
        print(NodePrivate.parse(text).public)
    except BadKey as error:
        return _refuse(f"pubkey: {error}")
    except UnicodeDecodeError:
        return _refuse("pubkey: not text")
    except OSError as error:
        return _refuse(f"pubkey: {argv[0]}: {error.strerror}")
    return 0


def _usage(words: str, argv: Sequence[str]) -> int:
    wanted = argv[0] in ("-h", "--help")
    print(f"usage: python -m node {words}", file=sys.stdout if wanted else sys.stderr)
    return 0 if wanted else BAD_INPUT


def _refuse(line: str) -> int:
    print(line, file=sys.stderr)
    return BAD_INPUT
