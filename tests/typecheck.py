"""mypy over the package as it is installed: parsers and queries inside hunt/, which the checkout keeps beside it."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """mypy's exit code; the tree is copied, since links need rights on Windows."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name, place in (("hunt", "hunt"), ("parsers", "hunt/parsers"), ("queries", "hunt/queries")):
            shutil.copytree(ROOT / name, tree / place, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "samples", tree / "samples", ignore=shutil.ignore_patterns("*.evtx", "__pycache__"))
        command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "hunt", "samples"]
        return subprocess.run(command, cwd=tree, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
