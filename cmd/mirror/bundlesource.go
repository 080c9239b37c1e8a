package main

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

// sourcesOf finds what paths mean, in the order in which it is to be taken in. A volume stands for those that follow it
// as well, as far as they are there; a folder that is no image layout for all bundles in it.
func sourcesOf(paths []string) (sources []source, err error) {
	seen := map[string]bool{}
	for _, path := range paths {
		found, err := sourcesAt(path)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		for _, s := range found {
			if !seen[s.path] {
				seen[s.path] = true
				sources = append(sources, s)
			}
		}
	}
	return sources, nil
}

func sourcesAt(path string) ([]source, error) {
	if path == "-" {
		return []source{{name: "standard input", path: path}}, nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return filesAt(path)
	}
	if _, err := os.Stat(filepath.Join(path, bundle.LayoutName)); err == nil {
		return []source{{name: path, path: path, layout: true}}, nil
	}
	return bundlesIn(path)
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

// candidate is what a folder has of one bundle.
type candidate struct {
	doc     *bundle.Document // nil for what is no bundle, or only its later volumes
	sources []source
}

// bundlesIn finds the bundles in a folder: those of one mirror in the order in which it made them, then everything else.
func bundlesIn(folder string) ([]source, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []candidate
	volumes := map[string][]int{} // by the name of the set, ascending
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		name, number, isVolume := volume.Parse(path)
		switch {
		case !entry.Type().IsRegular():
		case isVolume:
			volumes[name] = append(volumes[name], number)
			if len(volumes[name]) == 1 {
				found = append(found, candidate{sources: []source{{path: path}}})
			}
		case namesArchive(path):
			found = append(found, candidate{sources: []source{{path: path}}})
		}
	}
	for i := range found {
		if err := found[i].look(volumes); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w: neither an OCI image layout nor a file named .tar, .tar.gz, .tgz, .tar.zst or .001", folder, errNoSource)
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		if a.doc == nil || b.doc == nil {
			return cmp.Compare(boolToInt(a.doc == nil), boolToInt(b.doc == nil))
		}
		return cmp.Or(cmp.Compare(a.doc.Source, b.doc.Source), cmp.Compare(a.doc.Destination, b.doc.Destination), cmp.Compare(a.doc.Sequence, b.doc.Sequence))
	})
	var sources []source
	for _, c := range found {
		sources = append(sources, c.sources...)
	}
	return sources, nil
}

// look finds out what is in a candidate of which the first file is known, and whether a volume is missing in its midst.
func (c *candidate) look(volumes map[string][]int) (err error) {
	path := c.sources[0].path
	if c.doc, err = peek(path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c.sources, err = filesAt(path); err != nil {
		return err
	}
	name, first, isVolume := volume.Parse(path)
	if !isVolume {
		return nil
	}
	numbers := volumes[name]
	if next := first + len(c.sources); slices.Max(numbers) >= next {
		return fmt.Errorf("%s is missing, and later volumes are there: copy it as well", volume.File(path, next))
	}
	return nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func namesArchive(path string) bool {
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".oci"} {
		if strings.HasSuffix(strings.ToLower(path), suffix) {
			return true
		}
	}
	return false
}

// peek reads the document of a bundle; nil if the file is another archive.
func peek(path string) (*bundle.Document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := bundle.Open(file, bundle.Limits{})
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
func describe(to *transfer.Volume, v *volume.Volume, path string) (known bool) {
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
	from, to := io.Pipe()
	go func() {
		defer layout.Close()
		to.CloseWithError(pack(tar.NewWriter(to), folder, layout))
	}()
	return from, nil
}

func pack(w *tar.Writer, folder string, layout *bundle.Reader) error {
	for _, name := range []string{bundle.LayoutName, bundle.IndexName} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		if err := packEntry(w, name, int64(len(data)), strings.NewReader(string(data))); err != nil {
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
		name := "blobs/" + entry.Digest.Algorithm().String() + "/" + entry.Digest.Encoded()
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
