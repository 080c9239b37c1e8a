//go:build !unix

package server

import "math"

// openFileLimit returns a number that is never reached: this system has no limit of open files.
func openFileLimit() int { return math.MaxInt32 }
