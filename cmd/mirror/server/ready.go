package server

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"airmirror/api/middleware"
)

// readyChecks returns the conditions for the server to be ready. Upstreams are not among them.
func (s *server) readyChecks() []middleware.Check {
	if s.node != nil {
		return s.nodeChecks()
	}
	data := s.settings.Data
	return []middleware.Check{
		{Name: "the data folder is not writable", Run: func(context.Context) error { return tryWrite(data) }},
		{Name: "the folder of uploads is not writable", Run: func(context.Context) error { return tryWrite(filepath.Join(data, "incoming")) }},
		{Name: "the index was removed or replaced", Run: func(context.Context) error { return s.store.CheckIndexFile() }},
		{Name: "the index is not readable", Run: func(ctx context.Context) error {
			_, err := s.store.Repos(ctx, "", 1)
			return err
		}},
		{Name: "the folder of blobs is not readable", Run: func(context.Context) error { return tryRead(filepath.Join(data, "blobs")) }},
		{Name: "the folder of blobs is not writable", Run: func(context.Context) error { return tryCommit(data) }},
		{Name: "the disk is full", Run: func(context.Context) error {
			if s.Proxy.ReadOnly() {
				return nil
			}
			return s.Proxy.Writable()
		}},
	}
}

// tryRead reads the folder of blobs and the folders of the algorithms in it. They exist before a server starts, so a
// missing folder has lost its content.
func tryRead(folder string) error {
	for _, path := range []string{folder, filepath.Join(folder, digest.SHA256.String()), filepath.Join(folder, digest.SHA512.String())} {
		opened, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = opened.Readdirnames(1)
		if opened.Close(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// readyFile is the name of the file that tryWrite and tryCommit write and remove.
const readyFile = ".ready"

// tryWrite writes and removes a file in a folder.
func tryWrite(folder string) error {
	path := filepath.Join(folder, readyFile)
	err := os.WriteFile(path, []byte("ready\n"), 0o600)
	return errors.Join(err, os.Remove(path))
}

// tryCommit moves a file from the folder of uploads to the folders of blobs, as every push does.
func tryCommit(data string) error {
	from := filepath.Join(data, "incoming", readyFile)
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		if err := os.WriteFile(from, []byte("ready\n"), 0o600); err != nil {
			return err
		}
		to := filepath.Join(data, "blobs", algorithm.String(), readyFile)
		if err := os.Rename(from, to); err != nil {
			return errors.Join(err, os.Remove(from))
		}
		if err := os.Remove(to); err != nil {
			return err
		}
	}
	return nil
}
