"""The settings of all parts, for the commands that check them before anything starts."""

import os

from events.environment import WrongSetting, require_valid, wrong_settings
from events.settings import Settings as BusSettings
from tasks.settings import Settings as ShopSettings
from tidings.owner_settings import Settings as MigrationSettings
from web.settings import Settings as WebSettings

# `events.environment` knows the classes that are imported.
CLASSES = (BusSettings, MigrationSettings, ShopSettings, WebSettings)


def forget_empty_variables() -> None:
    """Remove the variables of settings that are set to nothing, which counts as unset."""
    for field in (name for kind in CLASSES for name in kind.model_fields):
        if not os.environ.get(field.upper(), "").strip():
            os.environ.pop(field.upper(), None)


def require_all_valid() -> None:
    """Raise `InvalidSettings`, which names every wrong setting of `CLASSES`."""
    require_valid()


def all_wrong_settings() -> list[WrongSetting]:
    """Return every wrong setting of `CLASSES`."""
    return wrong_settings()
