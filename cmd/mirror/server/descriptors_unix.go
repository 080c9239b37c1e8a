//go:build unix

package server

import (
	"math"

	"golang.org/x/sys/unix"
)

// openFileLimit returns the limit of open files of this process. The Go runtime has raised the soft limit to the hard one.
func openFileLimit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
