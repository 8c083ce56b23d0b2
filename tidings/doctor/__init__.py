"""The doctor: examines each part of a deployment and names a fix for each problem."""
