"""`tidings up` with variables that are set to nothing, as Compose and CI set them."""

from pathlib import Path

import pytest

from tests.servers import HANG
from tests.tidings.up.instance import ForkedInstance


@pytest.mark.system
def test_empty_variables_count_as_unset(tmp_path: Path):
    names = ("DATABASE_URL", "BROKER_URL", "SMTP_URL", "OPS_AUTH", "LEASE", "FLOWER_URL_PREFIX")
    up = ForkedInstance(tmp_path, **dict.fromkeys(names, " "))
    up.start()
    try:
        assert up.order()["status"] == "placed"
        assert (up.data / "tidings.sqlite").is_file()
    finally:
        up.stop(within=HANG)
