//go:build !linux

package files

import (
	"errors"
	"fmt"
	"os"
)

// hardLinked returns false: the number of links is unknown.
func hardLinked(os.FileInfo) bool { return false }

// versionOf returns the version of a file, without the fields that only Linux has.
func versionOf(info os.FileInfo) version {
	return version{size: info.Size(), written: info.ModTime().UnixNano()}
}

// Space returns [errors.ErrUnsupported].
func (f *Files) Space() (total, free int64, err error) {
	return 0, 0, fmt.Errorf("read the free space of %s: %w", f.root, errors.ErrUnsupported)
}
