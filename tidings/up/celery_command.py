"""Commands of `celery -A tasks` inside a forked process."""

import sys
from collections.abc import Sequence
from functools import partial

import click
from celery.bin.base import CLIContext
from celery.bin.worker import worker
from flower.command import flower

from tasks.celery import app
from tidings.up.program import name_process

# Not `celery` itself: it imports prompt_toolkit, 6 MB, for a command that no process here is.
_CELERY = click.Group("celery", commands=[worker, flower])


def celery_command(*words: str) -> partial[object]:
    """Return a program that runs `celery --quiet -A tasks` with these words."""
    return partial(_run, words)


def _run(words: Sequence[str]) -> object:
    name_process(["celery", "--quiet", "-A", "tasks", *words])
    context = CLIContext(app=app, no_color=True, workdir=None, quiet=True)
    return _CELERY.main(args=list(words), prog_name=sys.argv[0], obj=context)
