package registry

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"airmirror/mirror"
)

// told is what a client is told of err: all of it but the paths of this machine, which are none of its business.
func redact(err error) string {
	text := err.Error()
	walkErrors(err, func(err error) {
		switch e := err.(type) { //nolint:errorlint // walk takes the tree apart
		case *fs.PathError:
			text = strings.ReplaceAll(text, e.Error(), e.Err.Error())
		case *os.LinkError:
			text = strings.ReplaceAll(text, e.Error(), e.Err.Error())
		}
	})
	return text
}

// walk visits err and all that it wraps.
func walkErrors(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		walkErrors(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			walkErrors(err, visit)
		}
	}
}

// withStorageCode gives a fault of the store a code if there is one that helps its client: a disk that is full is no puzzle.
func withStorageCode(err error) error {
	if mirror.CodeOf(err) == mirror.CodeUnknown && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return &mirror.Error{Code: mirror.CodeStorageFull, Message: "the mirror's disk is full"}
	}
	return err
}
