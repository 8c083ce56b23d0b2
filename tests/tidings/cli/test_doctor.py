"""`tidings doctor` as an operator calls it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from events import Database
from tests import forked
from tests.servers import HANG
from tests.tidings.cli.calls import call
from tests.tidings.up.instance import CLEARED, ForkedInstance


def doctor(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it in `home`, in an environment that says nothing of Tidings but `env`."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in CLEARED and not name.startswith("FLOWER_")
    }
    return forked.run("tidings", "doctor", *words, cwd=home, env=clean | env)


def test_it_names_a_fix_for_each_thing_that_is_wrong_and_exits_with_3(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'tidings.sqlite'}")
    database.close()
    addresses = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'tidings.sqlite'}",
        "BROKER_URL": "redis://127.0.0.1:1/0",
    }

    shown, listed = doctor(tmp_path, **addresses), doctor(tmp_path, "--json", **addresses)

    assert (shown.returncode, listed.returncode, shown.stderr) == (3, 3, "")
    findings = json.loads(listed.stdout)
    wrong = [each for each in findings if each["level"] == "problem"]
    assert {each["part"] for each in wrong} == {"database", "broker", "secret key", "ops login"}
    assert all(each["fix"] in " ".join(shown.stdout.split()) for each in wrong)
    assert "✗" in shown.stdout
    assert shown.stdout.rstrip().splitlines()[-1].startswith("4 problems, ")


@pytest.mark.system
def test_a_fresh_up_is_well(tmp_path: Path):
    up = ForkedInstance(tmp_path)
    up.start()
    try:
        result = doctor(tmp_path, "--data-dir", "data")
    finally:
        up.stop(within=HANG)

    assert result.returncode == 0, result.stdout
    assert (
        "0 problems, 0 notices, 0 unknown" in " ".join(result.stdout.split())
        or "MB are free" in result.stdout
    )


def test_wrong_settings_are_all_named_with_exit_code_2_and_no_stack_trace(tmp_path: Path):
    wrong = {"LEASE": "soon", "RATE_LIMIT": "a lot", "MAIL_FROM": "nobody"}

    shown, listed = doctor(tmp_path, **wrong), doctor(tmp_path, "--json", **wrong)

    assert (shown.returncode, listed.returncode, shown.stderr) == (2, 2, "")
    findings = json.loads(listed.stdout)
    assert {each["message"].split()[0] for each in findings} == set(wrong)
    assert all(each["fix"] for each in findings)
    assert all(name in shown.stdout for name in wrong)


def test_its_help_says_what_the_exit_code_means():
    assert "Exit code 3: " in " ".join(call("doctor", "--help").stdout.split())
