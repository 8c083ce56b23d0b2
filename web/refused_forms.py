"""Forms that are refused for their CSRF token, and the reason in words."""

from flask import Flask, Response, current_app, request
from flask_wtf.csrf import CSRFError

from web.errors import render

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


def init_app(app: Flask) -> None:
    """Let every form of `app` say why it is refused."""
    app.register_error_handler(CSRFError, render_refusal)
