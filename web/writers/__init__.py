"""One file a format: a dossier in words becomes the bytes of a file. Nothing here knows of an index or of HTTP."""
