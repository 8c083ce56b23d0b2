"""`tidings chaos`: orders are placed while everything is broken; then the tables say whether anything was lost or done twice."""
