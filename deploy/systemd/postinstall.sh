#!/bin/sh
# Creates the user of the service and loads its unit. The service is started by whoever installs it, not by the package.
set -e
systemd-sysusers mirror.conf
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
