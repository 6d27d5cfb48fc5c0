"""Who installs punchlab needs no checkout of it: not for its commands, nor for tests of their own.

A wheel is built from a copy of the sources and installed into a fresh environment, which borrows only the
dependencies from this one. Nothing there knows where the repository is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OUTSIDE = Path(__file__).parent / "outside_project"
SOURCES = ("lab", "node", "topologies", "pyproject.toml", "setup.py", "MANIFEST.in")
PAPERS = ("README.md", "LICENSE")
LEFTOVERS = shutil.ignore_patterns("__pycache__", "*.so", ".*")
pytestmark = pytest.mark.xdist_group("outside project")  # one wheel for all


@dataclass(frozen=True)
class Outside:
    """An environment with punchlab installed, and a folder to be in."""

    wheel: Path
    programs: Path
    folder: Path

    def run(
        self, program: str, *words: str, timeout: float = 170
    ) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": f"{self.programs}:{os.defpath}",
            "HOME": str(self.folder),
            "PUNCHLAB_STATE": str(self.folder / "labs"),
        }
        argv = [str(self.programs / program), *words]
        pipe = subprocess.PIPE
        return subprocess.run(
            argv, cwd=self.folder, env=env, stdout=pipe, stderr=pipe, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("outside")
    wheel = built_wheel(folder / "sources", folder / "wheels")
    environment = folder / "environment"
    call(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    shutil.copytree(OUTSIDE, folder / "project", ignore=LEFTOVERS)
    found = Outside(wheel, environment / "bin", folder / "project")
    yield found
    found.run("punchlab", "lab.down", "all")


def built_wheel(sources: Path, wheels: Path) -> Path:
    sources.mkdir()
    for name in (*SOURCES, *PAPERS):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=LEFTOVERS)
        else:
            shutil.copy(ROOT / name, sources)
    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, sources)
    [wheel] = wheels.glob("*.whl")
    return wheel


def call(*argv: str | Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_has_every_file_of_the_packages(outside: Outside) -> None:
    with zipfile.ZipFile(outside.wheel) as wheel:
        packed = {name for name in wheel.namelist() if "dist-info" not in name}
    topologies = {f"lab/topologies/{file.name}" for file in (ROOT / "topologies").glob("*.toml")}
    sources = {
        str(file.relative_to(outside.wheel.parent.parent / "sources"))
        for package in ("lab", "node")
        for file in (outside.wheel.parent.parent / "sources" / package).rglob("*")
        if file.is_file() and file.suffix not in (".md", ".png", ".o", ".so", ".pyc")
    }

    assert (topologies | sources) - packed == set()


def test_the_commands_work_without_a_checkout(outside: Outside) -> None:
    assert outside.run("punchlab", "--version").stdout == "punchlab 0.1.0\n"
    plan = outside.run("punchlab", "lab.plan", "double-nat")
    assert (plan.returncode, "carrier-a" in plan.stdout) == (0, True), plan.stderr
    where = outside.run("python", "-c", "import lab, node; print(lab.__file__, node.__file__)")
    assert str(ROOT / "lab") not in where.stdout

    up = outside.run("punchlab", "lab.up", "topology=nat-pair")
    assert up.returncode == 0, up.stderr
    assert "next: punchlab lab.ping nat-pair node-a node-b --until-direct" in up.stdout
    ping = outside.run("punchlab", *["lab.ping", "nat-pair", "node-a", "node-b", "--until-direct"])
    assert (ping.returncode, "203.0.113.20" in ping.stdout) == (0, True), ping.stderr
    inside = outside.run(
        "punchlab", *["lab.exec", "nat-pair", "node-a", "--", "sh", "-c"], "exit 7"
    )
    assert inside.returncode == 7
    assert outside.run("punchlab", "lab.down", "nat-pair").stdout == "nat-pair is down\n"


@pytest.mark.parametrize(
    "words", [["lab.upp"], ["lab.up"], ["lab.up", "nat-pair", "--nmae", "x"], ["--help", "lab.upp"]]
)
def test_a_command_line_that_cannot_be_read_is_bad_input(
    outside: Outside, words: Sequence[str]
) -> None:
    done = outside.run("punchlab", *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) <= 2  # what is wrong, and what to do


def test_another_projects_tests_pass_with_the_plugin(outside: Outside) -> None:
    done = outside.run("python", "-m", "pytest", "-p", "no:cacheprovider")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
