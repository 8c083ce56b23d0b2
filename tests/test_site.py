"""The documentation site: its pages, its hooks, and the workflow that calls `.ci/run`."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from docs.site_hooks import on_page_markdown, on_post_page
from tests.tree import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())


def pages(nav: Any) -> list[str]:
    """Return the pages of a navigation."""
    if isinstance(nav, str):
        return [nav]
    entries = nav if isinstance(nav, list) else nav.values()
    return [page for each in entries for page in pages(each)]


def test_the_site_has_every_document():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())

    assert sorted(pages(site["nav"])) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_a_link_to_a_file_that_is_no_page_is_text_on_the_site():
    markdown = "See [events/log.py](../events/log.py), [how](how-to.md#x) and ![it](images/a.png)."

    assert on_page_markdown(markdown, page=None) == (
        "See events/log.py, [how](how-to.md#x) and ![it](images/a.png)."
    )


@pytest.mark.parametrize(
    "loading",
    [
        '<script src="https://cdn.example/a.js"></script>',
        "<script async src=//cdn.example/a.js></script>",
        '<link href="https://fonts.example/css" rel="stylesheet">',
        '<link rel="preconnect" href="https://fonts.example">',
        "<img alt='' src='http://pictures.example/a.png'>",
    ],
)
def test_a_page_that_loads_from_another_host_ends_the_build(loading: str):
    with pytest.raises(ValueError, match=r"the page loads .*\.example.*; the site must work offl"):
        on_post_page(f"<html>{loading}</html>", page=None)


def test_a_page_may_link_to_other_hosts():
    page = '<a href="https://docs.example">docs</a><link rel="canonical" href="https://a.example">'

    assert on_post_page(page, page=None) == page


def test_the_workflow_follows_its_schema_and_runs_what_every_machine_runs():
    schema = files("check_jsonschema") / "builtin_schemas/vendor/github-workflows.json"
    # YAML 1.1 reads the key `on` as true.
    jsonschema.validate(
        {"on" if key is True else key: value for key, value in WORKFLOW.items()},
        json.loads(schema.read_text()),
    )

    assert ".ci/run" in [step.get("run") for step in WORKFLOW["jobs"]["ci"]["steps"]]


def test_the_workflow_begins_with_the_oldest_python_that_the_package_allows():
    versions = WORKFLOW["jobs"]["ci"]["strategy"]["matrix"]["python"]
    [oldest] = re.findall(
        r'^requires-python = ">=(.+)"', Path(ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )

    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert versions[0] == oldest
