"""The committed contracts: one JSON Schema file for each version of each event.

A file has a digest of its own content, so that an edit by hand is found; how it is indented does
not matter.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from events.event import Event

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DIGEST, _EVENT = "x-digest", "x-event"
Schema = dict[str, Any]


@dataclass(frozen=True)
class Contract:
    """A committed file: the event and version that it is of, and the schema of their data.

    `fault` says why the file cannot be used; the rest is then empty.
    """

    path: Path
    event_type: str = ""
    version: int = 0
    schema: Schema | None = None
    fault: str = ""


def contract_of(event_class: type[Event]) -> Schema:
    """Return the schema of the data that the log has of this class, as its file holds it."""
    schema = event_class.model_json_schema(mode="serialization")
    event = {
        "type": event_class.type,
        "version": event_class.version,
        "source": event_class.source,
    }
    content = {"$schema": DIALECT, _EVENT: event, **schema}
    return content | {_DIGEST: _digest(content)}


def path_of(folder: Path, event_type: str, version: int) -> Path:
    """Return the file of this version in `folder`."""
    return folder / f"{quote(event_type, safe='')}.v{version}.json"


def read_all(folder: Path) -> Iterator[Contract]:
    """Yield the contracts in `folder`, by name."""
    for path in sorted(folder.glob("*.json")):
        yield _read(path)


def save(folder: Path, event_class: type[Event]) -> Path:
    """Write the contract of a class; return its file."""
    path = path_of(folder, event_class.type, event_class.version)
    text = json.dumps(contract_of(event_class), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _read(path: Path) -> Contract:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        return Contract(path, fault=f"it is no JSON ({error})")
    except OSError as error:
        return Contract(path, fault=f"it cannot be read ({error.strerror})")
    if not isinstance(content, dict):
        return Contract(path, fault="it is no JSON object")
    digest = content.pop(_DIGEST, None)
    if digest != _digest(content):
        return Contract(path, fault="its digest does not fit its content")
    match content.get(_EVENT):
        case {"type": str(event_type), "version": int(version)}:
            if path.name == path_of(path.parent, event_type, version).name:
                return Contract(path, event_type, version, content)
            return Contract(path, fault=f"it is the contract of {event_type} v{version}")
    return Contract(path, fault=f"it names no event in {_EVENT}")


def _digest(content: Schema) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
