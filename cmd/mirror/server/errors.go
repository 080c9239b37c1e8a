package server

// Kind classifies an [Error].
type Kind int

// The kinds of errors.
const (
	InvalidConfig   Kind = iota + 1 // the settings, or a file that they name, are invalid
	InUse                           // another process uses the data folder
	UnusableData                    // the data folder cannot be read or written
	UnusableAddress                 // the server cannot listen on an address
)

// Error is an error that the command reports with an exit code of its own.
type Error struct {
	Kind Kind
	Err  error
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
