"""The pages: templates and static files, who may change something, and the administrator's routes."""

VERSION = "0.1.0"
"""Of the program, as pyproject.toml has it."""
