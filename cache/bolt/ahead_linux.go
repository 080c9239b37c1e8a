package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// aheadStep is how much the system reads for one advice: it ignores the rest of a larger one.
const aheadStep = 128 << 10

// readAhead starts to read the first size bytes of a file into memory. What is in memory already costs nothing. A failure
// is not an error: every page is read again when it is needed.
func readAhead(file *os.File, size int64) {
	for at := int64(0); at < size; at += aheadStep {
		if unix.Fadvise(int(file.Fd()), at, min(aheadStep, size-at), unix.FADV_WILLNEED) != nil {
			return
		}
	}
}
