"""docs/coverage.md is what `nines coverage` and botocore's models say, and the two agree on names."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/coverage"


def test_the_page_is_current_and_every_name_is_in_the_models():
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
