"""The groups of tests that one process of a run takes whole, so that they share its servers."""

import os
import re
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

_STARTS_RABBITMQ = re.compile(r'rabbitmq_(url|node)|any_broker|"rabbitmq"')
_RABBITMQ = "tests of RabbitMQ"


class Scopes(LoadFileScheduling):
    """Each file is a group, and so are all files with tests of RabbitMQ together.

    Its node takes five seconds of CPU to start, in each process that needs one.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _RABBITMQ if _needs_rabbitmq(self.config.rootpath / file) else file


def schedule(config: pytest.Config, log: Producer) -> Scopes | None:
    """Return how a run is divided, or nothing for the way that its options say.

    With the slow tests those of RabbitMQ would take longer than the share of a process.
    """
    return Scopes(config, log) if "CI" not in os.environ else None


def put_long_groups_first(items: list[pytest.Item]) -> None:
    """Sort the tests so that the longest group does not begin when the others end."""
    items.sort(key=lambda item: not _needs_rabbitmq(item.path))


@cache
def _needs_rabbitmq(file: Path) -> bool:
    return bool(_STARTS_RABBITMQ.search(file.read_text()))
