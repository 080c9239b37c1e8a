package cache

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BootID identifies the time since the machine was last started; "" if the machine does not tell.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// uptime is how long the machine has been running, suspended or not; 0 if it does not tell.
func uptime() time.Duration {
	var since unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &since) != nil {
		return 0
	}
	return time.Duration(since.Nano())
}
