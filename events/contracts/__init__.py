"""The contract between services in files: JSON Schemas to compare with, and AsyncAPI to publish."""
