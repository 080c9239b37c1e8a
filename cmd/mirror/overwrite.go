package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"airmirror/sync/volume"
)

// overwriteFlag is the flag of all commands that write files. Without it, none of them replaces an existing file.
const overwriteFlag = "overwrite"

// addOverwriteFlag adds the flag to a command that writes the files that what names.
func addOverwriteFlag(f *pflag.FlagSet, overwrite *bool, what string) {
	f.BoolVar(overwrite, overwriteFlag, false, "replace "+what)
}

// checkNew returns an error if a file exists that would be replaced: path, or its volumes of the given size, or if their
// folder does not exist. It is for commands that write the file at the end of long work.
func checkNew(path string, size int64, overwrite bool) error {
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return createError(fmt.Errorf("create %s: the folder %s does not exist", path, filepath.Dir(path)))
	}
	if err := volume.CheckNew(path, size); !overwrite && errors.Is(err, fs.ErrExist) {
		return createError(err)
	}
	return nil // other errors are those of creating the file
}

// writeFile writes a file. The file has its name only when it is complete and durable.
func writeFile(ctx context.Context, path string, overwrite bool, write func(context.Context, io.Writer) error) error {
	w, err := volume.Create(path, 0, volume.Options{Overwrite: overwrite})
	if err != nil {
		return createError(err)
	}
	if err = write(ctx, w); err == nil {
		err = w.Close()
	}
	if err != nil {
		return createErrorIfExists(errors.Join(err, w.Abort()))
	}
	return nil
}

// createError returns the error for a file that cannot be created.
func createError(err error) error {
	return &exitError{exitUsage, createErrorIfExists(err)}
}

// createErrorIfExists adds what to do if err is about a file that exists.
func createErrorIfExists(err error) error {
	if exists := (*fs.PathError)(nil); errors.As(err, &exists) && errors.Is(exists, fs.ErrExist) {
		return fmt.Errorf("%s exists: --%s replaces it", exists.Path, overwriteFlag)
	}
	return err
}
