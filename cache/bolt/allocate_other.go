//go:build !linux

package bolt

import (
	"errors"
	"os"
)

// allocate returns [errors.ErrUnsupported].
func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }
