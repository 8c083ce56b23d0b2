"""Observers are loaded when a setting asks for them, and otherwise not even imported."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from events.environment import InvalidSettings
from events.settings import settings
from tests import forked
from tests.events.observers.collector import Collector
from tests.events.stack import Stack
from tests.servers import wait_until
from tests.tree import ROOT


def _python(program: str, **env: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "SECRET_KEY": "only for tests"} | env
    with TemporaryDirectory() as folder:
        Path(folder, "program.py").write_text(program)
        return forked.run("program", env=env, cwd=Path(folder))


_WEB = """
import sys, web, tasks.celery
web.create_app()
from events.observers import loading, _observers
loading.start()
print(*sorted({"sentry_sdk", "events.observers.opentelemetry"} & set(sys.modules)), len(_observers))
"""


def test_nothing_is_imported_that_no_setting_asks_for():
    assert _python(_WEB).stdout.split() == ["0"]


def test_each_setting_loads_its_observer_once(collector: Collector):
    run = _python(_WEB, SENTRY_DSN=collector.dsn, TRACING="OpenTelemetry")

    assert run.stdout.split() == ["events.observers.opentelemetry", "sentry_sdk", "2"], run.stderr


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SENTRY_DSN", "yes", "SENTRY_DSN is no address of a project"),
        ("SENTRY_DSN", "https://sentry.example/1", "SENTRY_DSN is no address of a project"),
        ("SENTRY_DSN", "https://key@sentry.example:99999/1", "SENTRY_DSN is no address"),
        ("SENTRY_DSN", "https://key@[::1/1", "SENTRY_DSN is no address of a project"),
        ("TRACING", "jaeger", "TRACING is 'jaeger', which is no tracer"),
    ],
)
def test_a_setting_that_cannot_work_is_named_without_its_secret(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)
    settings.cache_clear()

    with pytest.raises(InvalidSettings, match=reason):
        settings()
    settings.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "schedule_delay_millis must be positive"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "begins with neither http://"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x", "must be a non-negative integer but got x"),
    ],
)
def test_variables_that_opentelemetry_refuses_end_the_start(variable: str, value: str, reason: str):
    program = "from events.observers import loading\nloading.environment.exit_if_wrong()"

    assert _python(program, **{variable: value}).returncode == 0  # nobody traces
    run = _python(program, TRACING="opentelemetry", **{variable: value})

    assert run.returncode == 2
    assert "OTEL_* cannot configure OpenTelemetry: " in run.stderr
    assert reason in run.stderr


@pytest.mark.parametrize(
    ("package", "setting", "fix"),
    [
        ("sentry_sdk", "SENTRY_DSN=http://key@127.0.0.1:1/1", "install tidings[sentry]"),
        ("opentelemetry", "TRACING=opentelemetry", "install tidings[otel]"),
    ],
)
def test_a_missing_package_ends_the_start_with_its_fix(package: str, setting: str, fix: str):
    name, _, value = setting.partition("=")
    program = f"""
import sys
sys.modules[{package!r}] = None  # as if it were not installed
from importlib import util
find = util.find_spec
def missing(name, *rest):
    if name.partition(".")[0] == {package!r}:
        raise ModuleNotFoundError(name)
    return find(name, *rest)
util.find_spec = missing
from events.environment import exit_if_wrong
import events.settings
exit_if_wrong()
"""

    run = _python(program, **{name: value})

    assert run.returncode == 2
    assert fix in run.stderr


@pytest.mark.system
def test_the_children_of_a_worker_report_to_sentry_and_trace(
    stack: Stack, collector: Collector, tmp_path: Path
):
    stack.relay()
    worker = stack.work(
        "pings",
        SENTRY_DSN=collector.dsn,
        TRACING="opentelemetry",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_SERVICE_NAME="the pings",
    )

    stack.ping(1, deed="fail")

    wait_until(
        lambda: [each["tags"]["state"] for each in collector.reports()] == ["retrying", "dead"],
        what="a first failure and a death at Sentry",
    )
    worker.stop()
    assert b"process pings" in collector.text()
    assert b"the pings" in collector.text()
    assert b"secret@example.org" not in collector.text()
