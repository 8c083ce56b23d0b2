"""The check of the events against the committed contracts, on one state of the code and another."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.events.contracts.samples import UPCASTER, V1, V2, Repository, line_of, verdicts


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch)


def checked(repository: Repository, exit_code: int, *words: str) -> str:
    run = repository.run("check", *words)
    assert run.exit_code == exit_code, run.output
    return run.stdout


def findings(repository: Repository, exit_code: int) -> list[tuple[str, str]]:
    found = verdicts(json.loads(checked(repository, exit_code, "--json")))
    return [(event, verdict) for event, verdict in found if event.startswith("parcel")]


def test_what_was_written_is_as_committed(repository: Repository) -> None:
    repository.committed(V1, V2, UPCASTER)

    assert "0 unlike their contracts" in checked(repository, 0, "--strict")
    assert repository.contract("parcel.weighed.v1.json").exists()
    assert repository.run("write").stdout == ""


def test_a_field_that_may_be_left_out_is_compatible_until_it_is_written(
    repository: Repository,
) -> None:
    repository.committed(V1)
    repository.code(V1 + "        scale: str = 'unknown'\n")

    told = checked(repository, 0)
    line = line_of(repository, "class ParcelWeighedV1")
    assert f"parcels.py:{line}: compatible: parcel.weighed v1 scale was added" in told
    assert "run `tidings contracts write`" in told
    checked(repository, 3, "--strict")

    assert "parcel.weighed.v1.json" in repository.run("write").stdout
    checked(repository, 0, "--strict")


def test_a_change_that_breaks_names_file_line_field_and_fix_and_is_not_written(
    repository: Repository,
) -> None:
    repository.committed(V1)
    before = repository.contract("parcel.weighed.v1.json").read_text()
    repository.code(V1.replace("grams: int", "kilograms: float"))

    told = checked(repository, 3)
    line = line_of(repository, "class ParcelWeighedV1")
    assert f"parcels.py:{line}: breaking: parcel.weighed v1 grams was removed" in told
    assert "kilograms was added without a default" in told
    assert "give the changed event version=2 in a class of its own, add an upcaster" in told
    written = repository.run("write")
    assert (written.exit_code, "breaking" in written.stdout) == (3, True)
    assert repository.contract("parcel.weighed.v1.json").read_text() == before


def test_a_version_without_an_upcaster_to_the_next_is_named_with_its_line(
    repository: Repository,
) -> None:
    repository.committed(V1)
    repository.code(V1, V2)

    told = checked(repository, 3)
    line = line_of(repository, "class ParcelWeighedV1")
    assert f"parcels.py:{line}: forgotten upcaster: parcel.weighed v1 has no upcaster to v2" in told
    assert "@upcaster(ParcelWeighedV1, ...)" in told


def test_a_gap_between_versions_is_a_forgotten_upcaster(repository: Repository) -> None:
    repository.committed(V1)
    repository.code(V1, V2.replace("version=2", "version=3"))

    assert ("parcel.weighed v1", "forgotten upcaster") in findings(repository, 3)


def test_a_new_version_is_new_until_it_is_written(repository: Repository) -> None:
    repository.committed(V1)
    repository.code(V1, V2, UPCASTER)

    assert findings(repository, 0) == [("parcel.weighed v2", "new")]
    checked(repository, 3, "--strict")


def test_a_class_that_is_gone_breaks_what_the_log_may_hold(repository: Repository) -> None:
    repository.committed(V1, V2, UPCASTER)
    repository.code(V2)

    assert findings(repository, 3) == [("parcel.weighed v1", "breaking")]
    told = checked(repository, 3)
    assert "contracts/parcel.weighed.v1.json: breaking" in told
    assert "tidings events list --type parcel.weighed" in told


EDITS = {
    "a type": lambda text: text.replace('"integer"', '"number"'),
    "a description": lambda text: text.replace("in grams", "in pounds"),
    "the digest": lambda text: text.replace("sha256:", "sha256:0"),
    "no JSON": lambda text: text[:-5],
    "a list": lambda text: "[]",
    "nothing": lambda text: "",
    "no digest": lambda text: text.replace("x-digest", "digest"),
    "deep nesting": lambda text: "[" * 100_000,
    "another event": lambda text: text.replace('"version": 1', '"version": "1"'),
}


def signed(**changes: Any) -> Callable[[str], str]:
    """Return an edit that makes the digest fit again."""

    def edit(text: str) -> str:
        content = json.loads(text) | changes
        del content["x-digest"]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return json.dumps(content | {"x-digest": f"sha256:{digest}"})

    return edit


EDITS |= {
    "signed properties": signed(properties=[]),
    "signed property": signed(properties={"grams": True}),
    "signed required": signed(required=5),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_contract_that_was_edited_by_hand_is_found_and_not_overwritten(
    repository: Repository, edit: str
) -> None:
    repository.committed(V1)
    path = repository.contract("parcel.weighed.v1.json")
    path.write_text(edited := EDITS[edit](path.read_text()))

    told = checked(repository, 3)
    assert "contracts/parcel.weighed.v1.json: edited by hand: parcel.weighed v1" in told
    assert "git checkout -- contracts/parcel.weighed.v1.json" in told
    assert repository.run("write").exit_code == 3
    assert path.read_text() == edited


def test_an_edit_that_follows_an_edit_of_the_class_is_found_too(repository: Repository) -> None:
    repository.committed(V1)
    repository.code(V1.replace("int", "float"))
    path = repository.contract("parcel.weighed.v1.json")
    path.write_text(path.read_text().replace('"integer"', '"number"'))

    assert findings(repository, 3) == [("parcel.weighed v1", "edited by hand")]


def test_a_contract_under_the_name_of_another_is_found(repository: Repository) -> None:
    repository.committed(V1)
    moved = repository.contract("parcel.weighed.v2.json")
    repository.contract("parcel.weighed.v1.json").rename(moved)

    assert "it is the contract of parcel.weighed v1" in checked(repository, 3)


def test_the_layout_of_a_file_is_no_edit(repository: Repository) -> None:
    repository.committed(V1)
    path = repository.contract("parcel.weighed.v1.json")
    path.write_text(json.dumps(json.loads(path.read_text())).replace("\n", "\r\n"))

    checked(repository, 0, "--strict")


def test_a_type_that_is_no_file_name_stays_in_its_folder(repository: Repository) -> None:
    repository.committed(V1.replace("parcel.weighed", "../parcel/weighed"))

    assert repository.contract("..%2Fparcel%2Fweighed.v1.json").exists()
    checked(repository, 0, "--strict")


@pytest.mark.parametrize("words", [("check",), ("check", "--folder", "parcels.py")])
def test_a_folder_that_is_none_is_wrong_usage(
    repository: Repository, words: tuple[str, ...]
) -> None:
    run = repository.code(V1).run(*words)

    assert run.exit_code == 2
    assert "folder" in run.stderr.lower() or "director" in run.stderr.lower()
