"""The wheel of the tracked files, and environments in which it is installed."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.servers import HANG
from tests.tree import ROOT


def tracked() -> list[str]:
    """Return the names of the files under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def build_wheel(home: Path) -> Path:
    """Build the wheel of a copy of the tracked files, so that nothing is in it by accident."""
    source, out = home / "source", home / "wheel"
    for name in tracked():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    _run(sys.executable, "-m", "pip", "wheel", *options, str(source))
    [built] = out.glob("*.whl")
    return built


def fresh_environment(wheel: Path, home: Path) -> Path:
    """Install a wheel into a new environment; return the folder of its programs.

    It takes the dependencies from this environment by a path, whose editable install of the
    checkout is no part of it: `.pth` files count in the environment's own folder only.
    """
    _run(sys.executable, "-m", "venv", "--without-pip", str(home))
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install", "--quiet"]
    _run(*pip, "--disable-pip-version-check", "--no-index", "--no-deps", str(wheel))
    [packages] = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def _run(*command: str) -> None:
    run = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
