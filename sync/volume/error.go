package volume

import (
	"fmt"
	"io/fs"

	"airmirror/mirror"
)

// DamagedError is the error for a volume that is damaged and has to be copied again. It has the code
// [mirror.CodeDigestInvalid].
type DamagedError struct {
	Volume string // name of the file, without folders
	// First and Last are the byte range that is, or contains, what is wrong, missing, superfluous or unreadable. They count
	// from the beginning of the volume, and the range includes both.
	First, Last int64
	Problem     string // the predicate of the message, e.g. "is damaged at bytes 0–9"
	Cause       error  // read error of the medium; nil if it returned wrong bytes
}

// Error names the volume, the damage and the remedy.
func (e *DamagedError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("volume %s %s: %v: copy it again", e.Volume, e.Problem, e.Cause)
	}
	return fmt.Sprintf("volume %s %s: copy it again", e.Volume, e.Problem)
}

// Unwrap returns a [mirror.Error] and the cause, if there is one.
func (e *DamagedError) Unwrap() []error {
	errs := []error{&mirror.Error{Code: mirror.CodeDigestInvalid, Message: e.Error()}}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

func damagedAt(volume string, first, last int64) *DamagedError {
	return &DamagedError{Volume: volume, First: first, Last: last, Problem: fmt.Sprintf("is damaged at bytes %d–%d", first, last)}
}

func unreadableAt(volume string, first, last int64, cause error) *DamagedError {
	problem := fmt.Sprintf("cannot be read at bytes %d–%d", first, last)
	return &DamagedError{Volume: volume, First: first, Last: last, Problem: problem, Cause: cause}
}

func wrongSize(volume string, size, want int64) *DamagedError {
	problem := fmt.Sprintf("has %d bytes and should have %d", size, want)
	return &DamagedError{Volume: volume, First: min(size, want), Last: max(size, want) - 1, Problem: problem}
}

// existsError returns the error for a file that is not replaced.
func existsError(path string) error {
	return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
}
