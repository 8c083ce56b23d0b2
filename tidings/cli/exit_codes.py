"""Exit codes of `tidings` besides 0 (done), 1 (failed) and 2 (wrong usage)."""

PROBLEMS_FOUND = 3
NOTHING_FOUND = 4
