"""`tidings dead-letters edit`: correct the payloads of dead letters, and replay these."""

import json
from dataclasses import asdict
from typing import Any

import click

from events import reading, transaction
from events.admin import dead_letters, edits
from events.admin.edits import MAX_EDITS, Change, Edit
from events.inputs import typed_json
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import counted, json_option, nothing_found, print_json
from tidings.cli.replay_options import selection, selection_options

_FILE = click.Path(allow_dash=True)


@click.command()
@click.argument("ids", nargs=-1)
@selection_options
@click.option("--data", type=_FILE, help="File with the whole payload; - for the input.")
@click.option("--patch", type=_FILE, help="File with a JSON Patch; - for the input.")
@click.option("--preview", is_flag=True, help="Only check it, and show the difference.")
@why_option
@json_option
def edit(
    ids: tuple[str, ...],
    *,
    data: str | None,
    patch: str | None,
    preview: bool,
    why: str,
    as_json: bool,
    **filters: str | None,
) -> None:
    """Publish corrected events, which only the subscriptions of these dead letters get.

    The originals are kept, and their deliveries discarded. Either all are corrected or none.
    """
    chosen, change = selection(ids, everything=False, **filters), _change(data, patch)
    chosen.pop("everything")
    if data is not None and len(ids) != 1:
        raise click.UsageError("--data corrects one dead letter; name its id, or give --patch")
    found = _found(ids, chosen)
    if preview:
        with reading() as session:
            done = edits.preview(session, found, change)
    else:
        why = needed(why)
        with transaction() as session:
            done = edits.edit(session, found, change, who=who(), why=why)
    if as_json:
        print_json([asdict(each) for each in done])
        return
    for each in done:
        _tell(each)
    verb = "would be corrected" if preview else "corrected"
    echo(f"{verb}: {counted(len(done), 'dead letter')}")


def _found(ids: tuple[str, ...], chosen: dict[str, Any]) -> list[str]:
    with reading() as session:
        for each in ids:
            dead_letters.show(session, each)
        found = [each.id for each in dead_letters.listed(session, limit=MAX_EDITS + 1, **chosen)]
    if not found:
        nothing_found("no dead letter is selected by this; nothing was changed")
    if len(found) > MAX_EDITS:
        raise click.UsageError(f"more than {MAX_EDITS} dead letters match; select fewer")
    return found


def _change(data: str | None, patch: str | None) -> Change:
    if (data is None) == (patch is None):
        raise click.UsageError("give --data with the whole payload, or --patch with a JSON Patch")
    if data is not None:
        return edits.replaced_by(_json(data, "--data", dict))
    assert patch is not None
    return edits.patched_by(_json(patch, "--patch", list))


def _json(name: str, option: str, kind: type[Any]) -> Any:
    try:
        with click.open_file(name, encoding="utf-8") as file:
            value = typed_json(file.read())
    except OSError as error:
        raise click.UsageError(f"{option} {name}: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(f"{option} {error}") from error
    if not isinstance(value, kind):
        raise click.UsageError(f"{option} is no JSON {'object' if kind is dict else 'array'}")
    return value


def _tell(found: Edit) -> None:
    to = f" -> {found.corrected}" if found.corrected else ""
    echo(f"{found.delivery_id}{to}")
    for each in found.diff:
        now, then = (json.dumps(value, ensure_ascii=False) for value in (each.now, each.then))
        echo(f"  {each.path or '/'}: {now} -> {then}")
