//go:build !linux

package files

import (
	"errors"
	"fmt"
	"os"
)

// startWriteback does nothing: the kernel begins when it sees fit.
func startWriteback(*os.File, int64, int64) {}

// hardLinked is unknown on this system.
func hardLinked(os.FileInfo) bool { return false }

// versionOf returns the version of a file, as far as every system knows it.
func versionOf(info os.FileInfo) version {
	return version{size: info.Size(), written: info.ModTime().UnixNano()}
}

// Space is not known here: an [errors.ErrUnsupported].
func (f *Files) Space() (total, free int64, err error) {
	return 0, 0, fmt.Errorf("look how full the disk of %s is: %w", f.root, errors.ErrUnsupported)
}
