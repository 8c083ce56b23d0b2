"""The HTTP API: for customers under /api/v1, and for operators under the same prefix with the ops login."""
