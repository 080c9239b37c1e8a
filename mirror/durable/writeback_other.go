//go:build !linux

package durable

import "os"

// StartWriteback does nothing on this system.
func StartWriteback(*os.File, int64, int64) {}
