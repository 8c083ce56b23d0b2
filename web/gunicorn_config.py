"""The hooks of gunicorn: `gunicorn --config=python:web.gunicorn_config "web:create_app()"`."""

from typing import Any

from events.environment import exit_if_wrong
from tasks.settings import Settings as ShopSettings
from web.settings import Settings as WebSettings

CLASSES = (ShopSettings, WebSettings)  # imported, so that `exit_if_wrong` checks them


def on_starting(_: Any) -> None:
    """End the parent process with exit code 2 if a setting is wrong.

    A worker that cannot start would end it with code 3 and a traceback.
    """
    exit_if_wrong()
