"""Keeping the service: what its administrator does on the command line beside building and serving."""
