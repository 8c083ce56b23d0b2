"""The Grafana dashboard and the Prometheus rules: they ask for metrics that `/metrics` has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from events import heartbeat, transaction
from events.admin import subscriptions as admin
from events.subscriptions import registered
from events.tables import QueueTrouble
from tests.servers import HANG, missing

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yaml"
DASHBOARD = ROOT / "deploy/grafana/tidings.json"
_METRIC = re.compile(r"(tidings_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*[=!]")


def _expressions() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard: Any = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_every_metric_and_label_of_the_files_is_on_metrics(client: FlaskClient):
    full: QueueTrouble = {"reason": "is full", "fix": "start workers for it"}
    heartbeat.beat("relay@here", "relay", queue_troubles={"payment": full})
    with transaction() as session:
        admin.register(session, registered().values())
    client.get("/livez")

    text = client.get("/metrics").text
    families = text_string_to_metric_families(text)
    known = {each.name: set(each.labels) for family in families for each in family.samples}

    found = [match for each in _expressions() for match in _METRIC.finditer(each)]
    assert len({name for name, _ in map(re.Match.groups, found)}) > 10
    for match in found:
        name, labels = match.groups()
        assert name in known, name
        assert {*_LABEL.findall(labels or "")} <= known[name] | {"le"}, match.group()


def test_promtool_accepts_the_rules_and_they_fire_as_their_tests_say():
    if shutil.which("promtool") is None:
        missing("promtool")
    for command in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")):
        done = subprocess.run(
            ["promtool", *command],
            check=False,
            cwd=RULES.parent,
            capture_output=True,
            text=True,
            timeout=HANG,
        )
        assert done.returncode == 0, done.stdout + done.stderr
