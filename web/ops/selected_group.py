"""The group of dead letters that a page is about, by its address or by the form that was sent."""

from dataclasses import dataclass
from typing import TypedDict

from flask import request, url_for

from web import forms
from web.errors import FieldError, InvalidInput


class Filters(TypedDict):
    """The values that a group has in common."""

    subscription: str
    fingerprint: str


@dataclass(frozen=True)
class SelectedGroup:
    """The dead letters of one cause: a fingerprint in a subscription."""

    subscription: str
    fingerprint: str

    @property
    def filters(self) -> Filters:
        """The group as a selection of dead letters, or as the query of an address."""
        return {"subscription": self.subscription, "fingerprint": self.fingerprint}

    @property
    def key(self) -> str:
        """The group as the value of a field of a form."""
        return f"{self.subscription} {self.fingerprint}"

    @property
    def letters_url(self) -> str:
        """The address of the list of its dead letters."""
        return url_for("ops.dead_letters.show_list", **self.filters, _anchor="letters")


def in_address() -> SelectedGroup:
    """Return the group that the address names. Raises `InvalidInput`."""
    names = ("subscription", "fingerprint")
    subscription, fingerprint = (forms.stored(each, request.args.get(each, "")) for each in names)
    return _whole(subscription, fingerprint)


def in_form() -> SelectedGroup:
    """Return the group that the form names. Raises `InvalidInput`."""
    subscription, _, fingerprint = forms.stored("only", request.form.get("only", "")).partition(" ")
    return _whole(subscription, fingerprint)


def _whole(subscription: str, fingerprint: str) -> SelectedGroup:
    if not subscription or not fingerprint:
        message = "name one group, by its subscription and its fingerprint"
        raise InvalidInput([FieldError("group", message)])
    return SelectedGroup(subscription, fingerprint)
