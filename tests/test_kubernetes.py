"""deploy/kubernetes: valid by schema, and in step with the queues, the settings and the commands.

No cluster is at hand: nothing is applied. KEDA's resources have no schema in the package, so the
fields that KEDA requires of them are stated here.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from events.settings import Settings
from tests.compose import example, services
from tests.kustomization import FOLDER, Resource, containers, pod, render
from tidings.all_settings import CLASSES

FOLDERS = [FOLDER, FOLDER / "migrate", FOLDER / "keda"]
RESOURCES = render(FOLDER)
JOB = render(FOLDER / "migrate")
SCALED = render(FOLDER / "keda")
DEPLOYMENTS = {each["metadata"]["name"]: each for each in RESOURCES if each["kind"] == "Deployment"}
WORKLOADS = DEPLOYMENTS | {"migrate": JOB[0]}
WORKERS = {name: each for name, each in DEPLOYMENTS.items() if name.startswith("worker-")}
SETTINGS = {name.upper() for kind in CLASSES for name in kind.model_fields}
SECRETS = {name.upper() for kind in CLASSES for name in kind.secrets}


def queues() -> set[str]:
    """Return the queues that have a worker in docker-compose.yml, which are those of all
    subscriptions (`tests/test_compose.py`).
    """
    composed = services(**example())
    return {name for name, service in composed.items() if "-Q" in service.get("command", [])}


def command(workload: Resource) -> list[str]:
    [container] = containers(workload)
    return list(container["command"])


@pytest.mark.parametrize(
    "resource",
    [*RESOURCES, *JOB],
    ids=lambda each: f"{each['kind']} {each['metadata']['name']}",
)
@pytest.mark.parametrize("version", ["1.32", "1.37"])
def test_each_resource_follows_the_schema_of_kubernetes(resource: Resource, version: str):
    kubernetes_validate.validate(resource, version, strict=True)


def test_the_schema_refuses_a_misspelt_field():
    wrong = DEPLOYMENTS["web"] | {"spec": DEPLOYMENTS["web"]["spec"] | {"replica": 2}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: each.name)
def test_the_rendering_of_these_tests_is_that_of_kustomize(folder: Path):
    if not (program := shutil.which("kubectl")):
        pytest.skip("kubectl is not in Debian; the rendering was compared where it is")
    run = subprocess.run(
        [program, "kustomize", str(folder)], capture_output=True, text=True, check=True
    )

    assert _ordered(yaml.safe_load_all(run.stdout)) == _ordered(render(folder))


def _ordered(resources: Any) -> list[Any]:
    """Return the resources in an order of their own: lists that are merged by a key have none."""
    return sorted((_sorted(each) for each in resources), key=str)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted((_sorted(each) for each in value), key=str)
    return value


def test_each_queue_of_a_subscription_has_a_deployment_a_budget_and_a_scaled_object():
    names = {f"worker-{queue.replace('_', '-')}": queue for queue in queues()}
    budgets = [each for each in RESOURCES if each["kind"] == "PodDisruptionBudget"]

    consumed = {
        name: command(each)[command(each).index("-Q") + 1] for name, each in WORKERS.items()
    }
    assert consumed == names
    assert {each["metadata"]["name"] for each in budgets} == DEPLOYMENTS.keys()
    scaled = {each["metadata"]["name"]: each["spec"] for each in SCALED}
    assert scaled.keys() == names.keys()
    for name, spec in scaled.items():
        assert spec["scaleTargetRef"] == {"name": name}
        assert f'queue="{names[name]}"' in spec["triggers"][0]["metadata"]["query"]


def test_the_commands_are_those_of_compose():
    composed = {
        name: service["command"]
        for name, service in services(**example()).items()
        if "command" in service
    }

    for queue in queues():
        assert command(WORKERS[f"worker-{queue.replace('_', '-')}"]) == composed[queue]
    for name in ("web", "relay", "migrate"):
        assert command(WORKLOADS[name]) == composed[name]


def test_a_scaled_object_asks_for_a_gauge_that_the_web_exports_by_its_states():
    for each in SCALED:
        assert (each["apiVersion"], each["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
        assert 1 <= each["spec"]["minReplicaCount"] <= each["spec"]["maxReplicaCount"]
        [trigger] = each["spec"]["triggers"]
        assert trigger["type"] == "prometheus"
        assert {"serverAddress", "query", "threshold"} <= trigger["metadata"].keys()
        assert "tidings_deliveries{" in trigger["metadata"]["query"]
        assert 'state=~"waiting|in_flight|retrying"' in trigger["metadata"]["query"]


def test_every_variable_is_a_setting_and_each_secret_comes_from_a_file():
    [config] = [each for each in RESOURCES if each["kind"] == "ConfigMap"]
    given = {
        variable["name"]: variable["value"]
        for each in WORKLOADS.values()
        for container in containers(each)
        for variable in container.get("env", [])
    }

    assert config["data"].keys() <= SETTINGS - SECRETS
    assert {name.removesuffix("_FILE") for name in given} <= SECRETS
    assert all(name.endswith("_FILE") for name in given)
    assert {name.removesuffix("_FILE") for name in given} >= {
        "DATABASE_URL",
        "BROKER_URL",
        "SECRET_KEY",
        "OPS_AUTH",
        "SMTP_URL",
    }


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_each_file_of_a_secret_is_mounted_and_no_other(name: str):
    [container] = containers(WORKLOADS[name])
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    mounted = {
        f"{mounts[volume['name']]}/{item['path']}"
        for volume in pod(WORKLOADS[name])["volumes"]
        if "secret" in volume
        for item in volume["secret"]["items"]
    }

    assert {each["value"] for each in container["env"]} == mounted
    assert mounts.keys() == {each["name"] for each in pod(WORKLOADS[name])["volumes"]}


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_no_pod_has_root_a_writable_disk_a_token_or_unbounded_memory(name: str):
    [container] = containers(WORKLOADS[name])
    spec = pod(WORKLOADS[name])

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    user = re.search(r"useradd --uid (\d+)", (FOLDER.parents[1] / "Dockerfile").read_text())
    assert user
    assert spec["securityContext"]["runAsUser"] == int(user[1])


def test_a_process_that_beats_is_probed_by_its_heartbeat_and_has_longer_than_a_task_may_take():
    limit = Settings.model_fields["task_time_limit"].default

    for name in (*WORKERS, "relay"):
        [container] = containers(DEPLOYMENTS[name])
        for probe in ("startupProbe", "livenessProbe"):
            assert container[probe]["exec"] == {"command": ["tidings", "alive"]}
        assert pod(DEPLOYMENTS[name])["terminationGracePeriodSeconds"] == limit + 10


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_deployment_selects_its_own_pods_and_no_others(name: str):
    chosen = DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"]

    matching = {
        other
        for other, each in WORKLOADS.items()
        if chosen.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    }
    assert matching == {name}


def test_no_secret_stands_in_the_manifests():
    assert not [each for each in [*RESOURCES, *JOB] if each["kind"] == "Secret"]
