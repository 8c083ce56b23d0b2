"""`tidings dead-letters edit`: a correction from a file, with its difference."""

import json
from pathlib import Path

from events.testing import Bus
from tests.tidings.cli.calls import answered, call, told

EDIT = ("dead-letters", "edit")


def patch(folder: Path, value: object) -> str:
    file = folder / "patch.json"
    file.write_text(json.dumps([{"op": "replace", "path": "/payment_token", "value": value}]))
    return str(file)


def test_a_group_is_previewed_and_corrected_by_a_patch(bus: Bus, letter: str, tmp_path: Path):
    file = patch(tmp_path, "tok_ok")
    seen = told(*EDIT, "--queue", "payment", "--patch", file, "--preview")
    assert '/payment_token: "tok_broken" -> "tok_ok"' in seen
    assert "would be corrected: 1 dead letter" in seen
    assert [each["id"] for each in answered("dead-letters", "list")] == [letter]

    [done] = answered(*EDIT, letter, "--patch", file, "--why", "mended")
    assert (done["delivery_id"], done["diff"][0]["then"]) == (letter, "tok_ok")
    bus.drain()
    assert answered("dead-letters", "list") == []


def test_a_correction_that_cannot_work_is_refused(bus: Bus, letter: str, tmp_path: Path):
    file = patch(tmp_path, 5)
    refused = call(*EDIT, letter, "--patch", file, "--why", "x")
    assert refused.exit_code == 1
    assert "data.payment_token" in refused.stderr
    assert call(*EDIT, letter, "--why", "x").exit_code == 2
    assert call(*EDIT, letter, "--patch", file).exit_code == 2
    assert call(*EDIT, "--queue", "payment", "--data", file, "--why", "x").exit_code == 2
    assert call(*EDIT, "--queue", "nobody", "--patch", file, "--why", "x").exit_code == 4
    missing = call(*EDIT, letter, "--patch", str(tmp_path / "missing.json"), "--why", "x")
    assert "missing.json" in missing.stderr
    (tmp_path / "broken.json").write_text("{")
    broken = call(*EDIT, letter, "--patch", str(tmp_path / "broken.json"), "--why", "x")
    assert (broken.exit_code, "--patch is no JSON" in broken.stderr) == (2, True)


def test_a_payload_that_two_parsers_read_otherwise_is_refused(
    bus: Bus, letter: str, tmp_path: Path
):
    file = tmp_path / "data.json"
    for text, words in (
        ('{"payment_token": "tok_broken", "payment_token": "tok_ok"}', "has 'payment_token' twice"),
        ('{"total": 1e400}', "is no JSON"),
    ):
        file.write_text(text)
        refused = call(*EDIT, letter, "--data", str(file), "--why", "x")
        assert (refused.exit_code, f"--data {words}" in refused.stderr) == (2, True)
    assert [each["id"] for each in answered("dead-letters", "list")] == [letter]
