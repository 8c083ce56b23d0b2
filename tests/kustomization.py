"""The kustomizations of deploy/kubernetes, rendered as kustomize does as far as they use it.

That is: resources, strategic merge patches by kind and label, a namespace, and the tag of an image.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

from tests.tree import ROOT

FOLDER = ROOT / "deploy/kubernetes"
Resource = dict[str, Any]
_KNOWN = {"apiVersion", "kind", "namespace", "resources", "patches", "images"}
# The lists that a strategic merge patch merges by a key; any other list is replaced.
_MERGED_BY = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def render(folder: Path) -> list[Resource]:
    """Return the resources of a kustomization. Raises `ValueError` on what this does not know."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := kustomization.keys() - _KNOWN:
        raise ValueError(f"{folder}: {unknown}")
    found = [
        resource
        for name in kustomization["resources"]
        for resource in yaml.safe_load_all((folder / name).read_text())
    ]
    for each in kustomization.get("patches", []):
        patch = yaml.safe_load((folder / each["path"]).read_text())
        del patch["metadata"]  # the target names what is patched
        found = [
            _merge(resource, patch) if _is_target(resource, **each["target"]) else resource
            for resource in found
        ]
    tags = {each["name"]: each["newTag"] for each in kustomization.get("images", [])}
    for resource in found:
        resource["metadata"]["namespace"] = kustomization["namespace"]
        for container in containers(resource):
            container["image"] += f":{tags[container['image']]}"
    return found


def pod(resource: Resource) -> Resource:
    """Return the pod of a workload, or nothing."""
    found: Resource = resource.get("spec", {}).get("template", {}).get("spec", {})
    return found


def containers(resource: Resource) -> list[Resource]:
    """Return the containers of a workload."""
    found: list[Resource] = pod(resource).get("containers", [])
    return found


def _is_target(resource: Resource, kind: str, labelSelector: str = "") -> bool:  # noqa: N803 - the word of kustomize
    labels = resource["metadata"].get("labels", {})
    name, _, value = labelSelector.partition("=")
    return resource["kind"] == kind and (not name or labels.get(name) == value)


def _merge(value: Any, patch: Any, field: str = "") -> Any:
    if isinstance(value, dict) and isinstance(patch, dict):
        merged = {
            name: _merge(each, patch[name], name) if name in patch else each
            for name, each in value.items()
        }
        return merged | {name: copy.deepcopy(patch[name]) for name in patch.keys() - value.keys()}
    if isinstance(value, list) and field in _MERGED_BY:
        key = _MERGED_BY[field]
        patches = {each[key]: each for each in patch}
        merged_items = [_merge(each, patches.pop(each[key], {})) for each in value]
        return [*merged_items, *copy.deepcopy(list(patches.values()))]
    return copy.deepcopy(patch)
