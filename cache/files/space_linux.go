package files

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space returns how large the file system is that holds the folder, and how much of it this process may still fill, in
// bytes.
func (f *Files) Space() (total, free int64, err error) {
	var stat unix.Statfs_t
	for {
		if err = unix.Statfs(f.root, &stat); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look how full the disk of %s is: %w", f.root, err)
	}
	return int64(stat.Blocks) * int64(stat.Bsize), int64(stat.Bavail) * int64(stat.Bsize), nil
}
