"""The sets below tests/api against the suite's cloud: answers hold nothing that botocore's models lack.

Each set takes an account of its own, so they disturb neither each other nor the stack.
"""

import subprocess
import sys

import pytest

from conftest import PORT, ROOT

SCRIPTS = {path.name for path in (ROOT / "tests/api").glob("*.py") if not path.name.startswith("test_")}
SETS = sorted(SCRIPTS - {"checks.py"})  # what they share


@pytest.mark.parametrize("name", SETS)
def test_answers_fit_the_models(cloud, name):
    done = subprocess.run(
        [sys.executable, ROOT / "tests/api" / name, "--endpoint", f"http://127.0.0.1:{PORT}"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
