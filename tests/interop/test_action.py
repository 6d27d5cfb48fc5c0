"""The action for CI: the scripts of its steps, run as a runner runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: pip install pyyaml")
GITHUB = Path(__file__).parent.parent.parent / ".github"
ACTION = GITHUB / "actions/punchlab/action.yml"
EXPRESSION = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")
PASSES = "def test_it(lab):\n    assert lab('public').run('node-a', 'true').returncode == 0\n"
FAILS = "def test_it(lab):\n    assert lab('public').run('node-a', 'false').returncode == 0\n"


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


@pytest.mark.parametrize(("test", "status"), [(PASSES, 0), (FAILS, 1)])
def test_its_tests_leave_junit_a_summary_and_evidence(
    tmp_path: Path, test: str, status: int
) -> None:
    (tmp_path / "test_it.py").write_text(test)

    done = run_step("Tests", tmp_path, {"tests": "test_it.py", "results": "results"})

    assert done.returncode == status, done.stdout + done.stderr
    assert "<testcase" in (tmp_path / "results/tests.xml").read_text()
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("### tests: " + ("failed" if status else "passed"))
    assert (tmp_path / "results/evidence").exists() == bool(status)


@pytest.mark.parametrize(("profiles", "status"), [("open", 0), ("opne", 2)])
def test_its_matrix_is_in_the_summary_and_among_the_results(
    tmp_path: Path, profiles: str, status: int
) -> None:
    done = run_step("Matrix", tmp_path, {"matrix": profiles, "results": "results"})

    assert done.returncode == status, done.stdout + done.stderr
    if status:
        assert "opne" in done.stderr
        return
    assert "1 agree" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "results/matrix/matrix.xml").exists()


def test_the_workflow_gives_the_action_only_inputs_that_it_has() -> None:
    workflow, action = read(GITHUB / "workflows/labs.yml"), read(ACTION)
    given = workflow["jobs"]["labs"]["steps"][-1]["with"]
    taken = workflow[True]["workflow_call"]["inputs"]  # YAML reads `on` as true

    assert set(given) <= set(action["inputs"])
    assert set(EXPRESSION.findall(" ".join(given.values()))) <= set(taken)


def run_step(
    name: str, folder: Path, inputs: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    [step] = [each for each in read(ACTION)["runs"]["steps"] if each.get("name") == name]
    words = {
        key: EXPRESSION.sub(lambda found: inputs[found[1]], value)
        for key, value in step["env"].items()
    }
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env = own | words
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env["PYTHONPATH"] = str(GITHUB.parent)
    env["PUNCHLAB_STATE"] = str(folder / "labs")
    env["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder, env=env, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
