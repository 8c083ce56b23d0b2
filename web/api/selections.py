"""The selections of dead letters in the bodies of requests: by ids, by filters, or everything."""

from collections.abc import Iterable
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from web.api.ops_schemas import Body, DeliveryId, Fingerprint, Name, WhyText

_FILTERS = ("queue", "subscription", "fingerprint")
_NOT_GIVEN: dict[str, Any] = {
    **{name: {"type": "null"} for name in ("ids", *_FILTERS)},
    "everything": {"const": False},
}


def _only(*others: str, **fields: Any) -> Any:
    """Return the schema of a selection of one kind: by ids, by filters, or of everything."""
    absent = {name: rule for name, rule in _NOT_GIVEN.items() if name not in others}
    return {"required": list(fields), "properties": absent | fields}


_SELECTIONS: list[Any] = [
    _only(ids={"type": "array"}),
    *(_only(*_FILTERS, **{name: {"type": "string"}}) for name in _FILTERS),
    _only(everything={"const": True}),
]


def refuse_mixture(*, ids: Any, filters: Iterable[Any], everything: bool = False) -> None:
    """Refuse a selection by ids and by filters, or of everything beside one of them.

    Its count and its line in the audit would be those of one of the two.
    """
    kinds = (bool(ids), any(each is not None for each in filters), everything)
    if sum(kinds) > 1:
        raise ValueError("give ids, or filters, or everything: true, and not two of them")


class DeadLetterSelection(Body):
    """Dead letters by id or by filters, or expressly all of them, with the operator's reason."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _SELECTIONS})

    ids: list[DeliveryId] | None = Field(default=None, min_length=1, max_length=500)
    queue: Name | None = None
    subscription: Name | None = None
    fingerprint: Fingerprint | None = None
    everything: bool = False
    why: WhyText

    @model_validator(mode="after")
    def require_selection(self) -> "DeadLetterSelection":
        """Refuse a body that would select every dead letter by accident."""
        if not (self.everything or self.ids or self.queue or self.subscription or self.fingerprint):
            raise ValueError(
                "the body selects no dead letters; give ids, a queue, a subscription or a "
                "fingerprint, or everything: true"
            )
        filters = (self.queue, self.subscription, self.fingerprint)
        refuse_mixture(ids=self.ids, filters=filters, everything=self.everything)
        return self
