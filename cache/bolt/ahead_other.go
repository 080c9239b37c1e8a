//go:build !linux

package bolt

import (
	"io"
	"os"
)

// readAhead reads the first size bytes of a file, so that the system has them in memory. A failure is not an error: every
// page is read again when it is needed.
func readAhead(file *os.File, size int64) {
	content := io.NewSectionReader(file, 0, size)
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{content}, make([]byte, 1<<20))
}
