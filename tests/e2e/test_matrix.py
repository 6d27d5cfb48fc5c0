"""A small matrix from end to end: as expected, and then with an expectation that is wrong on purpose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

ROOT = Path(__file__).parent.parent.parent
PROFILES = "open,restricted-cone,port-restricted-cone,symmetric"
NEVER_DIRECT = {("port-restricted-cone", "symmetric"), ("symmetric", "symmetric")}


def matrix(*words: str, become: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    argv = [*(become or [sys.executable]), "-m", "invoke", "lab.matrix", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=170, check=False)


@pytest.mark.scenario(2)
def test_every_pair_of_four_profiles_goes_as_expected(tmp_path: Path) -> None:
    done = matrix("--profiles", PROFILES, "--workers", "2", "--out", str(tmp_path), "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["agrees"] == 16
    for cell in report["cells"]:
        pair = tuple(sorted((cell["initiator"], cell["responder"])))
        path, proof = ("relay", "silence") if pair in NEVER_DIRECT else ("direct", "flows")
        assert (cell["observed"]["path"], cell["observed"]["proof"]) == (path, proof), cell
    assert "16/16 cells" in done.stderr

    assert json.loads((tmp_path / "matrix.json").read_text()) == report
    assert len((tmp_path / "cells.jsonl").read_text().splitlines()) == 16
    assert Xml.parse(tmp_path / "matrix.xml").getroot().get("failures") == "0"
    assert "16 agree" in (tmp_path / "matrix.md").read_text()
    assert "16 agree" in (tmp_path / "matrix.html").read_text()


@pytest.mark.scenario(2)
def test_the_workers_of_a_cluster_come_to_the_same(two_workers: str) -> None:
    done = matrix("--profiles", "open,symmetric", "--scheduler", two_workers, "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["agrees"] == report["summary"]["cells"] == 4
    paths = {
        (each["initiator"], each["responder"]): each["observed"]["path"] for each in report["cells"]
    }
    assert [pair for pair, path in paths.items() if path != "direct"] == [
        ("symmetric", "symmetric")
    ]


@pytest.mark.scenario(2)
def test_a_wrong_verdict_is_reported_and_fails(tmp_path: Path) -> None:
    """The control: the same two profiles, one cell of them expected to be what it is not."""
    wrong = ["--expect", "symmetric/open=relay"]

    done = matrix("--profiles", "open,symmetric", *wrong, "--out", str(tmp_path))

    assert done.returncode == 1
    assert "symmetric to open: expected relay (stated: stated with --expect), observed direct" in (
        done.stdout
    )
    assert "4 cells" in done.stdout
    assert "3 agree, 1 disagree, 0 failed" in done.stdout
    assert "it is tried again alone" in done.stderr
    assert Xml.parse(tmp_path / "matrix.xml").getroot().get("failures") == "1"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--profiles", "open,symetric"], "symetric"),
        (["--profiles", "open", "--expect", "open=relay"], "--expect open=relay"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], "one or the other"),
        (["--workers", "-1"], "expected a whole number from 0"),
        (["--profiles", "open", "--deadline", "0"], "--deadline"),
        (["--profiles", "open", "--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers"),
        (["--profiles", "open", "--out", "/proc/nowhere"], "--out /proc/nowhere"),
    ],
)
def test_bad_input_is_told_in_a_line_or_two(words: list[str], told: str) -> None:
    done = matrix(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr


def test_a_machine_that_cannot_run_labs_says_so_once(nobody: list[str]) -> None:
    closed = (
        "mount -t tmpfs tmpfs /dev/net && mknod /dev/net/tun c 10 200 && chmod 600 /dev/net/tun"
    )
    become = ["unshare", "--mount", "sh", "-c", f'{closed} && exec "$@"', "sh", *nobody]

    done = matrix("--profiles", "open", "--workers", "2", become=become)

    assert done.returncode == 3, done.stderr
    assert done.stderr.count("/dev/net/tun") == 1
    assert "Traceback" not in done.stderr


def test_a_lab_that_takes_too_long_is_cut_off_and_told(tmp_path: Path) -> None:
    done = matrix("--profiles", "open", "--deadline", "2", "--out", str(tmp_path))

    assert done.returncode == 1
    assert "open to open: hung: cut off after 2 s" in done.stdout
    assert "0 agree, 0 disagree, 1 failed" in done.stdout
    assert os.listdir(tmp_path) != []
