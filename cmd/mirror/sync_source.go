package main

import (
	"archive/tar"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"airmirror/cmd/mirror/server"
	"airmirror/sync/bundle"
	"airmirror/sync/transfer"
	"airmirror/sync/volume"
)

// source is something that content is taken in from: a file, a volume of a bundle, a folder, or standard input.
type source struct {
	name   string // for people
	path   string // "-" for standard input
	layout bool   // it is a folder with an OCI image layout
	volume *transfer.Volume
}

// sources are what is to be taken in, in order, and what was passed over to find it.
type sources struct {
	list   []source
	passed []passed
}

// passed is a file that is not taken in from a folder, and why.
type passed struct {
	path, reason string
	archive      bool // it looks like one that was to be taken in
}

// sourcesOf finds what paths mean, in the order in which it is to be taken in. A volume stands for those that follow it
// as well, as far as they are there; a folder for all archives and image layouts in it.
func sourcesOf(paths []string) (all sources, err error) {
	seen := map[string]bool{}
	for _, path := range paths {
		found, err := sourcesAt(path)
		if err != nil {
			return all, &exitError{exitUsage, err}
		}
		all.passed = append(all.passed, found.passed...)
		for _, s := range found.list {
			if !seen[s.path] {
				seen[s.path] = true
				all.list = append(all.list, s)
			}
		}
	}
	return all, nil
}

func sourcesAt(path string) (sources, error) {
	if path == "-" {
		return sources{list: []source{{name: "standard input", path: path}}}, nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return sources{}, err
	case !info.IsDir():
		list, err := filesAt(path)
		return sources{list: list}, err
	}
	return searchFolder(path)
}

// filesAt is a file or, for a volume, it and those that follow.
func filesAt(path string) (sources []source, err error) {
	name, number, ok := volume.Parse(path)
	if !ok {
		return []source{{name: path, path: path}}, nil
	}
	files, err := volume.List(path)
	if err != nil {
		return nil, err
	}
	for i, file := range files {
		sources = append(sources, source{name: file, path: file, volume: &transfer.Volume{Set: name, Number: number + i, More: true}})
	}
	return sources, nil
}

// peek reads the document of a bundle; nil if the file is another archive.
func peek(path string) (*bundle.Document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := bundle.Open(file, server.ArchiveLimits)
	if err != nil {
		return nil, nil // what is wrong with it is said when it is taken in
	}
	defer r.Close()
	return r.Document(), nil
}

// open opens the source for reading.
func (s source) open(stdin io.Reader) (io.ReadCloser, error) {
	switch {
	case s.path == "-":
		return io.NopCloser(stdin), nil
	case s.layout:
		return packLayout(s.path)
	case s.volume != nil:
		return volume.Open(s.path)
	}
	return os.Open(s.path)
}

// describe says of the volume in path what is known about it, and whether that is of what bundle it is.
func describe(to *transfer.Volume, v *volume.Reader, path string) (known bool) {
	to.Size = v.Size()
	set := volume.BundleOf(path)
	if d, ok := v.Description(); ok {
		set, to.Number, to.More = d.Bundle, d.Number, !d.Last()
	}
	to.Set = cmp.Or(set, to.Set)
	return set != ""
}

// packLayout returns an OCI image layout in a folder as the tar of it: what its index reaches, and nothing else that is
// there. Nothing is copied: the tar is made as it is read.
func packLayout(folder string) (io.ReadCloser, error) {
	layout, err := bundle.OpenFolder(folder, bundle.Limits{})
	if err != nil {
		return nil, err
	}
	prefix := ""
	if _, err := os.Stat(filepath.Join(folder, "..", bundle.PackageName)); err == nil { // which says how its images are called
		prefix = "images/"
	}
	from, to := io.Pipe()
	go func() {
		defer layout.Close()
		to.CloseWithError(pack(tar.NewWriter(to), folder, prefix, layout))
	}()
	return from, nil
}

func pack(w *tar.Writer, folder, prefix string, layout *bundle.Reader) error {
	if prefix != "" {
		if err := packEntry(w, bundle.PackageName, 0, strings.NewReader("")); err != nil {
			return err
		}
	}
	for _, name := range []string{bundle.LayoutName, bundle.IndexName} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		if err := packEntry(w, prefix+name, int64(len(data)), strings.NewReader(string(data))); err != nil {
			return err
		}
	}
	for {
		entry, err := layout.Next()
		if errors.Is(err, io.EOF) {
			return w.Close()
		}
		if err != nil {
			return err
		}
		name := prefix + "blobs/" + entry.Digest.Algorithm().String() + "/" + entry.Digest.Encoded()
		if err := packEntry(w, name, entry.Size, entry); err != nil {
			return err
		}
	}
}

func packEntry(w *tar.Writer, name string, size int64, content io.Reader) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644}); err != nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, content, make([]byte, 1<<20))
	return err
}
