"""The operators' pages under /ops, one file per page."""
