package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"airmirror/cmd/mirror/server"
	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/transfer"
	"airmirror/sync/volume"
)

// source is an archive to import: a file, a volume of a bundle, a folder with an image layout, or standard input.
type source struct {
	name   string // for people
	path   string // "-" for standard input
	layout bool   // a folder with an OCI image layout
	volume *transfer.Volume
}

// sources are the archives to import, in order, and the files that are not imported.
type sources struct {
	list    []source
	skipped []skippedFile
}

// skippedFile is a file of a folder that is not imported, with the reason.
type skippedFile struct {
	path, reason string
	archive      bool // the file looks like an archive that should have been imported
}

// sourcesOf returns the archives at paths in the order of import. A volume stands for itself and the volumes that follow
// it. A folder stands for all archives and image layouts in it.
func sourcesOf(paths []string) (all sources, err error) {
	seen := map[string]bool{}
	for _, path := range paths {
		found, err := sourcesAt(path)
		if err != nil {
			return all, &exitError{exitUsage, err}
		}
		all.skipped = append(all.skipped, found.skipped...)
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
	case errors.Is(err, os.ErrNotExist):
		return sources{}, notFound(path)
	case err != nil:
		return sources{}, err
	case !info.IsDir():
		if _, _, isVolume := volume.Parse(path); !isVolume && isText(path) {
			return sources{}, fmt.Errorf("%s is a text file and no archive: if it lists images, fetch them with 'mirror sync --file %[1]s'", path)
		}
		list, err := filesAt(path)
		return sources{list: list}, err
	}
	return searchFolder(path)
}

// isText reports whether a file begins like a text. Of archives, none does.
func isText(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	start, err := io.ReadAll(io.LimitReader(file, bundle.FormatSize))
	return err == nil && len(start) > 0 && bundle.FormatOf(start).Name == "" && !bytes.ContainsFunc(start, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == utf8.RuneError
	})
}

// notFound returns the error for a file that does not exist. The volumes of a bundle have other names than the bundle.
func notFound(path string) error {
	if first, err := filepath.Glob(path + ".0*1"); err == nil && len(first) > 0 {
		return fmt.Errorf("%s does not exist, but its volumes do: import %s, and the others follow", path, first[0])
	}
	return fmt.Errorf("%s does not exist", path)
}

// filesAt returns a file or, for a volume, the volume and those that follow it.
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
		sources = append(sources, source{name: file, path: file, volume: &transfer.Volume{
			Set: name, Name: mirror.Printable(name), Number: number + i, More: true,
		}})
	}
	return sources, nil
}

// peek reads the document of a bundle. It returns nil for another archive.
func peek(path string) (*bundle.Document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := bundle.Open(file, server.ArchiveLimits)
	if err != nil {
		return nil, nil // the import reports the error
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

// describe sets what is known about the volume at path. It reports whether its bundle is known.
func describe(to *transfer.Volume, v *volume.Reader, path string) (known bool) {
	to.Size = v.Size()
	set := volume.BundleOf(path)
	if d, ok := v.Description(); ok {
		set, to.Number, to.More, to.Count = d.Bundle, d.Number, !d.Last(), d.Count
	}
	to.Set = cmp.Or(set, to.Set)
	return set != ""
}

// packLayout returns the OCI image layout in a folder as a tar archive with the content that its index reaches. The
// archive is created while it is read.
func packLayout(folder string) (io.ReadCloser, error) {
	layout, err := bundle.OpenFolder(folder, bundle.Limits{})
	if err != nil {
		return nil, err
	}
	prefix := ""
	if _, err := os.Stat(filepath.Join(folder, "..", bundle.PackageName)); err == nil { // it has the names of the images
		prefix = "images/"
	}
	from, to := io.Pipe()
	go func() {
		defer layout.Close()
		to.CloseWithError(pack(tar.NewWriter(to), folder, prefix, layout))
	}()
	return from, nil
}

// pack writes an image layout as a tar archive.
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
