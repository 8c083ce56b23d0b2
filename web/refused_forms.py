"""Refused forms: they are shown again with what was typed, and the reason in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Flask, Response, current_app, request
from flask_wtf.csrf import CSRFError

from web.errors import Problem, render
from web.refused_values import sent_form

CORRECTABLE = (400, 409, 422, 429, 503)  # sent again or corrected, the form may be accepted
TEXT_FIELDS = {"reason", "quantity"}
MAX_FIELDS = 300
_AGAIN = "Nothing was lost: please send it again."
_NO_COOKIE = (
    "Your browser sent no cookie with the form. Allow this site to set cookies; a private window "
    f"that was closed has lost them. {_AGAIN}"
)
_OTHER_KEY = (
    "The cookie of your browser is from before a restart of this site, or from another site at "
    f"this address. {_AGAIN}"
)
_REASONS = {
    "The CSRF token has expired.": f"The form had been open for more than an hour. {_AGAIN}",
    "The CSRF token is missing.": f"The form was sent without its token. {_AGAIN}",
    "The CSRF token is invalid.": f"The form is from before a restart of this site. {_AGAIN}",
    "The CSRF tokens do not match.": (
        f"The form is from another session than the cookie of your browser. {_AGAIN}"
    ),
}


def refusal(error: CSRFError) -> str:
    """Return the reason for the reader of the page."""
    if error.description == "The CSRF session token is missing.":
        sent = current_app.config["SESSION_COOKIE_NAME"] in request.cookies
        return _OTHER_KEY if sent else _NO_COOKIE
    return _REASONS.get(error.description or "", error.description or "")


def render_refusal(error: CSRFError) -> Response:
    """Render the refusal as any other error."""
    error.description = refusal(error)
    return render(error)


@dataclass(frozen=True)
class TypedField:
    """A field of a refused form, to send again; what a person types is shown, the rest hidden."""

    name: str
    value: str
    is_text: bool
    error: str = ""

    @property
    def label(self) -> str:
        """The name of the field for people."""
        return self.name.replace("_", " ").capitalize()


def typed_fields(problem: Problem) -> list[TypedField]:
    """Return what a refused form had, so that nobody types it again; empty for other requests.

    A form of another site is refused before (`web.origins`), and is never shown.
    """
    if request.method != "POST" or problem.status not in CORRECTABLE:
        return []
    return list(_typed({each.field: each.message for each in problem.errors}))[:MAX_FIELDS]


def _typed(errors: dict[str, str]) -> Iterator[TypedField]:
    for name, value in sent_form().items(multi=True):
        if name != "csrf_token":
            error = errors.pop(name, "")
            yield TypedField(name, value, bool(error) or name in TEXT_FIELDS, error)
    for name in TEXT_FIELDS & errors.keys():
        yield TypedField(name, "", True, errors[name])


def init_app(app: Flask) -> None:
    """Let every form of `app` say why it is refused, and be sent again."""
    app.register_error_handler(CSRFError, render_refusal)
    app.context_processor(lambda: {"typed_fields": typed_fields})
