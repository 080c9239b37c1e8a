#!/bin/sh
# Creates the user of the service and loads its unit. The service is started by whoever installs it, not by the package.
set -e
if command -v systemd-sysusers >/dev/null; then # not in most containers, which need no service
	systemd-sysusers mirror.conf
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
