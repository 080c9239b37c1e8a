//go:build !linux

package cache

import "time"

// BootID identifies the time since the machine was last started; "" if the machine does not tell.
func BootID() string { return "" }

// uptime is how long the machine has been running, suspended or not; 0 if it does not tell.
func uptime() time.Duration { return 0 }
