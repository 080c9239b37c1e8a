package server

import (
	"context"
	"errors"
	"fmt"

	"airmirror/cache"
	"airmirror/cache/cluster"
)

// openStore opens the store that the settings ask for: that of the data folder, which it creates if it does not exist, or a
// shared one.
func (i *Instance) openStore(ctx context.Context, opts cache.Options) (err error) {
	if !i.settings.Store.Shared() {
		i.store, err = openFolder(i.settings.Data, opts)
		return err
	}
	if i.node, err = openNode(ctx, i.settings.Config, opts); err == nil {
		i.store = i.node.Store
	}
	return err
}

// openFolder opens the store in a data folder for this process.
func openFolder(data string, opts cache.Options) (*cache.Store, error) {
	if cluster.IsNode(data) {
		return nil, &Error{UnusableData, fmt.Errorf("the data folder %s is that of a node with a shared store: set store.postgres and store.s3, or choose another folder with --data", data)}
	}
	store, err := cache.Open(cache.Config{Folder: data, Options: opts})
	if errors.Is(err, cache.ErrInUse) {
		return nil, inUse(data)
	}
	if err != nil {
		return nil, folderError(data, err)
	}
	return store, nil
}

func inUse(data string) error {
	return &Error{InUse, fmt.Errorf("the data folder %s is in use by another process: stop it, or choose another folder with --data", data)}
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
