"""`tidings contracts`: the shop's events against the contracts of this repository."""

import json
import subprocess
from pathlib import Path

from tests import forked
from tests.tree import ROOT


def contracts(*words: str) -> "subprocess.CompletedProcess[str]":
    # In a process of its own, which does not know the events of tests.
    return forked.run("tidings", "contracts", *words)


def test_the_contracts_of_this_repository_are_those_of_the_events() -> None:
    run = contracts("check", "--strict", "--json")

    assert (run.returncode, json.loads(run.stdout)) == (0, {"findings": [], "counts": {}})


def test_a_contract_of_the_shop_that_is_gone_is_named_with_its_class(tmp_path: Path) -> None:
    for path in (ROOT / "contracts").glob("*.json"):
        if path.name != "order.created.v2.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())

    run = contracts("check", "--strict", "--folder", str(tmp_path))

    assert run.returncode == 3
    assert "events/catalog/web.py:" in run.stdout
    assert ": new: order.created v2 has no contract yet" in run.stdout


def test_the_asyncapi_document_is_printed() -> None:
    printed = json.loads(contracts("asyncapi").stdout)

    assert printed["asyncapi"] == "3.0.0"
    assert "payment.charge_order.order.created" in printed["operations"]
    assert not {"ping.pinged"} & printed["channels"].keys()


def test_a_folder_whose_name_a_terminal_would_obey_is_escaped_in_the_error() -> None:
    run = contracts("check", "--folder", "a\u202eb\x9bm")

    assert run.returncode == 2
    assert "there is no folder a\\u202eb\\u009bm; change to the folder" in run.stderr
