//go:build !unix

package bolt

import (
	"io"
	"os"
)

// Lock holds the file at path open. Here it locks nothing: whoever calls it sees to it that no other process has it open.
func Lock(path string) (io.Closer, error) { return os.Open(path) }
