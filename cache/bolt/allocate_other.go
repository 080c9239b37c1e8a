//go:build !linux

package bolt

import (
	"errors"
	"os"
)

// allocate cannot be done here.
func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }
