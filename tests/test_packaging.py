"""The wheel holds everything, the locks pin everything, and neither names a host."""

import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wheel import build_wheel, tracked

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.txt", "requirements-dev.txt")
PACKAGES = ("events", "tasks", "tidings", "web")
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==[^ ;]+( ; [^;]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Build the wheel and open it."""
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


def pins(lock: str) -> set[str]:
    return {
        found["name"]
        for line in (ROOT / lock).read_text().splitlines()
        if (found := PIN.match(line))
    }


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages_and_the_settings_of_celery(
    wheel: zipfile.ZipFile,
):
    expected = {name for name in tracked() if name.split("/")[0] in PACKAGES} | {"celeryconfig.py"}

    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


@pytest.mark.slow
def test_the_wheel_holds_the_pages_and_the_migrations(wheel: zipfile.ZipFile):
    names = wheel.namelist()

    for part in (
        "web/templates/",
        "web/static/",
        "tidings/migrations/versions/0001",
        "tidings/migrations/script.py.mako",
        "tasks/gateways/",
        *(f"{package}/py.typed" for package in PACKAGES),
    ):
        assert any(name.startswith(part) for name in names), part


@pytest.mark.slow
def test_the_wheel_brings_the_command_line_also_under_celery_and_flask(wheel: zipfile.ZipFile):
    [entry_points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]

    assert re.findall(
        r"\[(.+)\]\n(?:bus = .+\n)?tidings = tidings\.cli:main", wheel.read(entry_points).decode()
    ) == [
        "celery.commands",
        "console_scripts",
        "flask.commands",
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: str):
    strange = [
        line
        for line in (ROOT / lock).read_text().splitlines()
        if not (PIN.match(line) or HASH.match(line))
    ]

    assert strange == []


def test_the_locks_pin_every_dependency_and_agree_with_each_other():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, development = project["dependencies"], project["optional-dependencies"]["dev"]

    assert {name_of(each) for each in runtime} <= pins("requirements.txt")
    assert {name_of(each) for each in development} <= pins("requirements-dev.txt")
    assert blocks("requirements.txt") <= blocks("requirements-dev.txt")


def blocks(lock: str) -> set[str]:
    """Return each pin with its hashes."""
    return set(re.split(r"\n(?! )", (ROOT / lock).read_text().strip()))


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize(
    "target", ["setup", "up", "test", "check", "bench", "lock", "screenshot", "demo"]
)
def test_make_knows_the_target_and_describes_it(target: str):
    told = subprocess.run(
        ["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert re.search(rf"^  make {target} +\w+", told, re.MULTILINE)


def test_a_python_that_is_too_old_is_told_what_is_needed(tmp_path: Path):
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2'\nexit 1\n")
    old.chmod(0o755)

    for name in ("Makefile", "pyproject.toml", "requirements-dev.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())

    made = subprocess.run(
        ["make", "setup", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode != 0
    assert "Python 3.11 or newer is needed; " in made.stderr
    assert "is Python 3.9.2" in made.stderr
