#!/bin/sh
# Starts the installed program that `current` leads to, with the settings of dxqa.env beside this file; takes the options of server.py.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)
if [ -r "$here/dxqa.env" ]; then
	set -a
	# shellcheck source=/dev/null
	. "$here/dxqa.env"
	set +a
fi
exec "$here/current/venv/bin/python" "$here/current/server.py" "$@"
