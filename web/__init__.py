"""The pages: templates and static files, who may change something, and the administrator's routes."""
