"""The check of the event classes against the committed contracts, and the writing of new ones."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from events.contracts.comparison import compare
from events.contracts.files import Contract, contract_of, path_of, read_all, save
from events.event import Event, newest, upcaster_of


class Verdict(StrEnum):
    """The verdict on one version of an event."""

    NEW = "new"  # it has no contract yet
    COMPATIBLE = "compatible"  # old and new code read each other's events
    BREAKING = "breaking"  # old code, or events in the log, no longer fit
    FORGOTTEN_UPCASTER = "forgotten upcaster"  # handlers could not get the events of this version
    EDITED = "edited by hand"  # the contract is not the one that was written


HARMLESS = (Verdict.NEW, Verdict.COMPATIBLE)  # `write` settles them


@dataclass(frozen=True)
class Finding:
    """A difference between code and contracts: where it is, what it is, and the fix."""

    verdict: Verdict
    event: str
    where: str
    what: str
    fix: str


Classes = Sequence[type[Event]]


def check(folder: Path, classes: Classes) -> list[Finding]:
    """Return the findings on these classes, by event and version; none if all is as committed."""
    contracts = list(read_all(folder))
    known = {(each.event_type, each.version): each for each in contracts if not each.fault}
    faulty = {each.path.name for each in contracts if each.fault}
    findings = [_edited(each) for each in contracts if each.fault]
    findings += [_forgotten(each) for each in classes if _lacks_upcaster(each)]
    for each in classes:
        contract = known.pop((each.type, each.version), None)
        if contract is not None:
            findings += _compare(contract, each)
        elif path_of(folder, each.type, each.version).name not in faulty:
            findings.append(_new(each))
    findings += [_removed(each) for each in known.values()]
    return sorted(findings, key=lambda each: each.event)


def write(folder: Path, classes: Classes) -> list[Path]:
    """Write the contracts of new versions and of compatible changes; return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    findings = check(folder, classes)
    settled = {each.event for each in findings if each.verdict in HARMLESS}
    broken = {each.event for each in findings if each.verdict not in HARMLESS}
    return [save(folder, each) for each in classes if _name(each) in settled - broken]


def location_of(event_class: type[Event]) -> str:
    """Return `file:line` of a class, from the working directory if the file is below it."""
    try:
        path, line = inspect.getsourcefile(event_class), inspect.getsourcelines(event_class)[1]
    except (OSError, TypeError):  # a class that no `class` statement made
        return f"{event_class.__module__}.{event_class.__qualname__}"
    return f"{_relative(Path(path or '?'))}:{line}"


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _name(event_class: type[Event]) -> str:
    return f"{event_class.type} v{event_class.version}"


def _lacks_upcaster(event_class: type[Event]) -> bool:
    return event_class.version != newest(event_class.type) and upcaster_of(event_class) is None


def _new(event_class: type[Event]) -> Finding:
    what, fix = "has no contract yet", "run `tidings contracts write`, and commit its file"
    return Finding(Verdict.NEW, _name(event_class), location_of(event_class), what, fix)


def _forgotten(event_class: type[Event]) -> Finding:
    following = event_class.version + 1
    return Finding(
        Verdict.FORGOTTEN_UPCASTER,
        _name(event_class),
        location_of(event_class),
        f"has no upcaster to v{following}, so no handler gets the events of it in the log",
        f"write a function with @upcaster({event_class.__name__}, ...) that returns v{following}",
    )


def _compare(contract: Contract, event_class: type[Event]) -> Iterable[Finding]:
    written = contract_of(event_class)
    written.pop("x-digest")
    try:
        changes = compare(contract.schema or {}, written)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        yield _edited(replace(contract, fault="it is no JSON Schema, though its digest fits"))
        return
    if not changes:
        return
    breaking = [each for each in changes if each.breaking]
    yield Finding(
        Verdict.BREAKING if breaking else Verdict.COMPATIBLE,
        _name(event_class),
        location_of(event_class),
        "; ".join(str(each) for each in breaking or changes),
        f"give the changed event version={(newest(event_class.type) or 0) + 1} in a class of its "
        f"own, add an upcaster, and leave this class as {_relative(contract.path)} has it; if no "
        "event of this version was ever published, delete that file and write it anew"
        if breaking
        else "run `tidings contracts write`, and commit its file",
    )


def _removed(contract: Contract) -> Finding:
    event = f"{contract.event_type} v{contract.version}"
    return Finding(
        Verdict.BREAKING,
        event,
        str(_relative(contract.path)),
        "has no class any more, and the log may hold events of it",
        "restore the class and its upcaster; if the log holds no such event "
        f"(tidings events list --type {contract.event_type}), delete the file",
    )


def _edited(contract: Contract) -> Finding:
    return Finding(
        Verdict.EDITED,
        contract.path.stem.replace(".v", " v"),
        str(_relative(contract.path)),
        f"the contract was edited: {contract.fault}",
        f"restore the file from version control (git checkout -- {_relative(contract.path)}); "
        "change the class instead",
    )
