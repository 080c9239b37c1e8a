//go:build !linux

package files

import (
	"errors"
	"fmt"
)

// Space is not known here: an [errors.ErrUnsupported].
func (f *Files) Space() (total, free int64, err error) {
	return 0, 0, fmt.Errorf("look how full the disk of %s is: %w", f.root, errors.ErrUnsupported)
}
