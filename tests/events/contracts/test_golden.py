"""The golden payloads: an event of each version as the log has it, and as handlers get it."""

import json
from typing import Any

import jsonschema
import pytest

import tasks.celery  # noqa: F401 - every service, with its events
from events.contracts.files import Contract, read_all
from events.event import decode, stored_as
from tests.tree import ROOT

CONTRACTS = {each.path.name: each for each in read_all(ROOT / "contracts")}


def golden(contract: Contract) -> Any:
    return json.loads((ROOT / "contracts/golden" / contract.path.name).read_text())


def test_each_contract_has_a_golden_payload() -> None:
    names = {path.name for path in (ROOT / "contracts/golden").iterdir()}

    assert names == set(CONTRACTS)
    assert len(names) > 10


@pytest.mark.parametrize("name", CONTRACTS)
def test_an_event_of_each_version_still_becomes_the_one_that_handlers_got(name: str) -> None:
    contract = CONTRACTS[name]
    payload = golden(contract)

    event = decode(contract.event_type, contract.version, payload["stored"])

    assert event.model_dump(mode="json") == payload["handled"]


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_golden_payload_fits_its_contract_and_is_what_its_class_writes(name: str) -> None:
    contract = CONTRACTS[name]
    stored = golden(contract)["stored"]
    event_class = stored_as(contract.event_type, contract.version)

    assert event_class is not None
    jsonschema.validate(stored, contract.schema or {})
    assert event_class.model_validate(stored).model_dump(mode="json") == stored
