package volume

import (
	"fmt"

	"airmirror/mirror"
)

// DamagedError says which volume must be copied again and where it is damaged. It has [mirror.CodeDigestInvalid].
type DamagedError struct {
	Volume string // the name of its file, without folders
	// First and Last are the bytes that are wrong, missing, too many or unreadable, or some of which are: counted from the
	// beginning of the volume, both included.
	First, Last int64
	Problem     string // as in "volume … is damaged at bytes 0–9"
	Cause       error  // of a failing disk or medium; nil if it gave wrong bytes
}

// Error names the volume, the bytes and what to do.
func (e *DamagedError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("volume %s %s: %v: copy it again", e.Volume, e.Problem, e.Cause)
	}
	return fmt.Sprintf("volume %s %s: copy it again", e.Volume, e.Problem)
}

// Unwrap returns an error with the code, and the cause.
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
