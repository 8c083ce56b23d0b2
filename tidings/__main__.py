"""Entry point of `python -m tidings`."""

from tidings.cli import main

main(prog_name="tidings")
