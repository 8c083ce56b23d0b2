"""The settings of all parts, for the commands that check them before anything starts."""

from events.environment import WrongSetting, require_valid, wrong_settings
from events.settings import Settings as BusSettings
from tasks.settings import Settings as ShopSettings
from web.settings import Settings as WebSettings

# `events.environment` knows the classes that are imported.
CLASSES = (BusSettings, ShopSettings, WebSettings)


def require_all_valid() -> None:
    """Raise `InvalidSettings`, which names every wrong setting of `CLASSES`."""
    require_valid()


def all_wrong_settings() -> list[WrongSetting]:
    """Return every wrong setting of `CLASSES`."""
    return wrong_settings()
