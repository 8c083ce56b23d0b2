"""Every start with wrong settings: all of them in words, exit code 2, and nothing started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked
from tests.servers import HANG
from tests.tidings.up.instance import CLEARED

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WRONG = {
    "DATABASE_URL": "postgres://ada:sesame@127.0.0.1/shop?sslmode=on",
    "BROKER_URL": "sentinel://:sesame@127.0.0.1:26379/0",
    "LEASE": "soon",
    "LOG_LEVEL": "verbose",
    "MAIL_FROM": "Shop",
    "SMTP_URL": "mail.example.org:25",
    "OPS_AUTH": "ops:grün",
    "FLOWER_BASIC_AUTH": "ops:",
    "FLOWER_URL_PREFIX": "my flower",
}
OF_THE_WEB = {"RATE_LIMIT": "a lot", "MAX_BODY": "big"}
STARTS = {
    "up": (["tidings", "up", "--port", "0", "--flower-port", "0", "--data-dir", "data"], True),
    "migrate": (["tidings", "migrate"], True),
    "relay": (["tidings", "relay"], False),
    "worker": (["celery", "-A", "tasks", "worker", "-Q", "payment"], False),
    "flower": (["celery", "-A", "tasks", "flower"], False),
    "web": (["tidings", "web", "--port", "0"], True),
}


@pytest.mark.parametrize(
    "name",
    [
        each if each in ("worker", "web") else pytest.param(each, marks=pytest.mark.slow)
        for each in STARTS
    ],
)
def test_every_start_lists_all_wrong_settings_and_exits_with_2(name: str, tmp_path: Path):
    (program, *words), reads_those_of_the_web = STARTS[name]
    wrong = WRONG | (OF_THE_WEB if reads_those_of_the_web else {})
    clean = {key: value for key, value in os.environ.items() if key not in CLEARED}

    env = clean | {"PYTHONPATH": str(ROOT)} | wrong
    if program == "tidings":
        run = forked.run(program, *words, cwd=tmp_path, env=env)
    else:  # Celery's application reads them when it is imported, which a fork has done
        run = subprocess.run(
            [str(BIN / program), *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )

    assert run.returncode == 2, run.stderr
    assert {name for name in wrong if f"\n  {name} " not in run.stderr} == set()
    assert run.stderr.count("fix: ") == len(wrong)
    assert "Traceback" not in run.stderr
    assert "sesame" not in run.stderr + run.stdout
    assert list(tmp_path.iterdir()) == []
