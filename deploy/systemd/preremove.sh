#!/bin/sh
# Stops the service when the package is removed: an upgrade, where Debian says "upgrade" and RPM says 1, leaves it running.
set -e
case "$1" in
upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now mirror.service || true
fi
