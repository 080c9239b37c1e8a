//go:build !linux

package backend

import "time"

// BootID identifies the current boot of the machine. It is "" if the system does not provide an identifier.
func BootID() string { return "" }

// Uptime returns the time since the machine booted, including suspended time. It is 0 if the system does not provide it.
func Uptime() time.Duration { return 0 }
