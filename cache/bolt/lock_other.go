//go:build !unix

package bolt

import (
	"io"
	"os"
)

// Lock opens the file at path. It does not lock the file on this system: the caller must make sure that no other
// process has it open.
func Lock(path string) (io.Closer, error) { return os.Open(path) }
