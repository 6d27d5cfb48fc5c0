"""A node whose wall clock somebody sets: its libc says another time than this machine's.

The wall clock is the one clock that no namespace has for itself, so the C library's answer is changed
on its way to the process. What else the process asks for it gets as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.pytest_plugin import Net

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long ahead(void)
{
    long seconds = 0;
    FILE *file = fopen(getenv("WALL_CLOCK_AHEAD"), "r");
    if (file != NULL) {
        if (fscanf(file, "%ld", &seconds) != 1)
            seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME)
        now->tv_sec += ahead();
    return failed;
}

time_t time(time_t *seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds != NULL)
        *seconds = now.tv_sec;
    return now.tv_sec;
}
"""
NOW = "import time; print(round(time.time()))"


class WallClock:
    def __init__(self, folder: Path) -> None:
        """Raises CalledProcessError without a C compiler that works."""
        source, self._library = folder / "wall_clock.c", folder / "wall_clock.so"
        source.write_text(SOURCE)
        argv = ["cc", "-shared", "-fPIC", "-o", str(self._library), str(source), "-ldl"]
        subprocess.run(argv, check=True)
        self._ahead = folder / "ahead"
        self.set(0)

    def set(self, ahead: int) -> None:
        """Seconds before this machine's clock, or behind it; now, for whoever looks."""
        changed = self._ahead.with_suffix(".new")
        changed.write_text(str(ahead))
        changed.replace(self._ahead)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "WALL_CLOCK_AHEAD": str(self._ahead)}

    @contextmanager
    def node(self, net: Net, host: str, *options: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The node of that host (its own is stopped) by this clock; its events, once it is ready."""
        files = net.lab.folder / "hosts" / host
        argv = [sys.executable, "-m", "node", "up", "--tun", "ts0", *options]
        for option, name in (("netmap", "netmap.json"), ("key", "node.key"), ("ca", "ca.pem")):
            argv += [f"--{option}", str(files / name)]
        argv += ["--control", str(files / "control.sock")]
        with net.lab.popen(
            host, argv, env=self.environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            events = (dict[str, Any](json.loads(line)) for line in process.stdout)
            next(each for each in events if each["event"] == "ready")
            try:
                yield events
            finally:
                process.terminate()

    def says(self, net: Net, host: str) -> int:
        """The time there (Unix), for a process by this clock."""
        argv = [sys.executable, "-c", NOW]
        with net.lab.popen(
            host, argv, env=self.environment, stdout=subprocess.PIPE, text=True
        ) as process:
            return int(process.communicate()[0])
