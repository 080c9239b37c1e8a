package server

import (
	"errors"
	"fmt"

	"airmirror/cache"
)

// openStore opens a data folder for this process, and creates it if it does not exist.
func openStore(data string, opts cache.Options) (*cache.Store, error) {
	store, err := cache.Open(cache.Config{Folder: data, Options: opts})
	if errors.Is(err, cache.ErrInUse) {
		return nil, &Error{InUse, fmt.Errorf("the data folder %s is in use by another process: stop it, or choose another folder with --data", data)}
	}
	if err != nil {
		return nil, folderError(data, err)
	}
	return store, nil
}

// folderError returns the error for a data folder that cannot be used. It says how to repair the folder if that is
// possible.
func folderError(data string, err error) error {
	switch {
	case errors.Is(err, cache.ErrIndexMissing):
		err = fmt.Errorf("%w: create a new index with 'mirror verify --rebuild'", err)
	case errors.Is(err, cache.ErrIndexDamaged):
		err = fmt.Errorf("%w; create a new index with 'mirror verify --rebuild', which keeps this one", err)
	}
	return &Error{UnusableData, fmt.Errorf("cannot use the data folder %s: %w", data, err)}
}

// HasMirror reports whether a data folder contains a mirror.
func HasMirror(data string) (bool, error) {
	found, err := cache.HasIndex(data)
	if err != nil {
		return false, folderError(data, err)
	}
	return found, nil
}
