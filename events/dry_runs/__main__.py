"""`python -m events.dry_runs`: the process of dry runs, which `events.dry_runs.process` starts."""

from events.dry_runs.process import main

main()
