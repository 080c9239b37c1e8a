package backend

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BootID identifies the current boot of the machine. It is "" if the system does not provide an identifier.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Uptime returns the time since the machine booted, including suspended time. It is 0 if the system does not provide it.
func Uptime() time.Duration {
	var since unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &since) != nil {
		return 0
	}
	return time.Duration(since.Nano())
}
