package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"airmirror/sync/bundle"
	"airmirror/sync/volume"
)

// maxFolders is how deep folders are looked into for archives.
const maxFolders = 8

// search looks for archives in a folder and those below.
type search struct {
	found   []candidate
	passed  []passed
	volumes map[string][]int // by the path of the set, ascending
}

// candidate is what a folder has of one bundle.
type candidate struct {
	doc     *bundle.Document // nil for what is no bundle, or only its later volumes
	sources []source
}

// searchFolder finds what there is to take in in a folder: bundles of one mirror in the order in which it made them, then
// everything else.
func searchFolder(folder string) (sources, error) {
	s := &search{volumes: map[string][]int{}}
	if err := s.folder(folder, 0); err != nil {
		return sources{}, err
	}
	var found []candidate
	for _, c := range s.found {
		if err := c.look(s.volumes); err != nil { // it keeps no other out
			s.pass(c.sources[0].path, err.Error(), true)
			continue
		}
		found = append(found, c)
	}
	if len(found) == 0 && !slices.ContainsFunc(s.passed, func(p passed) bool { return p.archive }) {
		return sources{}, fmt.Errorf("%s: %w: neither an OCI image layout nor a tar, compressed or not", folder, errNoSource)
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		if a.doc == nil || b.doc == nil {
			return cmp.Compare(boolToInt(a.doc == nil), boolToInt(b.doc == nil))
		}
		return cmp.Or(cmp.Compare(a.doc.Source, b.doc.Source), cmp.Compare(a.doc.Destination, b.doc.Destination), cmp.Compare(a.doc.Sequence, b.doc.Sequence))
	})
	all := sources{passed: s.passed}
	for _, c := range found {
		all.list = append(all.list, c.sources...)
	}
	return all, nil
}

// pass notes what is not taken in.
func (s *search) pass(path, reason string, archive bool) {
	s.passed = append(s.passed, passed{path, reason, archive})
}

// layoutFiles are the parts of an OCI image layout, with what tools write into its folder.
var layoutFiles = []string{bundle.LayoutName, bundle.IndexName, bundle.DockerName, bundle.DocumentName, bundle.SignatureName, "blobs", "ingest", "repositories"}

// folder looks into one folder.
func (s *search) folder(folder string, depth int) error {
	entries, err := os.ReadDir(folder)
	if err != nil && depth == 0 {
		return err
	}
	if err != nil {
		s.pass(folder, err.Error(), true)
		return nil
	}
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(folder, name))
		return err == nil
	}
	isLayout := has(bundle.LayoutName)
	switch {
	case isLayout:
		s.found = append(s.found, candidate{sources: []source{{name: folder, path: folder, layout: true}}})
	case has(bundle.DockerName) && has("version"):
		s.pass(folder, "it is an image as skopeo and podman write it to a folder (dir:): have them write oci-archive: or oci: instead", true)
		return nil
	case has(bundle.DockerName):
		s.pass(folder, "it is what docker save wrote, unpacked: pack it again, with tar", true)
		return nil
	case has("docker/registry/v2"):
		s.pass(folder, "it is what a registry stores everything in: --registry-root moves it in", true)
		return nil
	}
	for _, entry := range entries {
		if isLayout && slices.Contains(layoutFiles, entry.Name()) {
			continue
		}
		s.entry(filepath.Join(folder, entry.Name()), depth)
	}
	return nil
}

// entry looks at a file or a folder in a folder.
func (s *search) entry(path string, depth int) {
	name := filepath.Base(path)
	info, err := os.Stat(path) // of what a link leads to
	switch {
	case bundle.Ignored(name):
		s.pass(path, "an operating system left it there", false)
	case err != nil:
		s.pass(path, err.Error(), archiveName(name))
	case info.IsDir() && depth == maxFolders:
		s.pass(path, "it is too deep in folders to be looked into", true)
	case info.IsDir():
		_ = s.folder(path, depth+1) // it passes over what it cannot read
	case !info.Mode().IsRegular():
		s.pass(path, "it is no file", archiveName(name))
	default:
		s.file(path, info.Size())
	}
}

// unfinished are what the names of downloads and copies end in that are under way, or broke off.
var unfinished = []string{".part", ".partial", ".crdownload", ".download", ".filepart", ".opdownload", ".tmp", ".temp", ".aria2", ".!ut", ".unconfirmed"}

// file looks at a file: what is in it decides, and not how it is called.
func (s *search) file(path string, size int64) {
	name := filepath.Base(path)
	lower := strings.ToLower(name)
	if _, number, ok := volume.Parse(path); ok {
		set := strings.TrimSuffix(path, filepath.Ext(path))
		s.volumes[set] = append(s.volumes[set], number)
		if len(s.volumes[set]) == 1 {
			s.found = append(s.found, candidate{sources: []source{{path: path}}})
		}
		return
	}
	if slices.ContainsFunc(unfinished, func(suffix string) bool { return strings.HasSuffix(lower, suffix) }) || strings.HasPrefix(name, ".~") {
		s.pass(path, "it is a download or a copy that was not finished", true)
		return
	}
	format, err := formatOf(path)
	switch {
	case err != nil:
		s.pass(path, err.Error(), archiveName(name))
	case format.Read:
		s.found = append(s.found, candidate{sources: []source{{path: path}}})
	case size == 0:
		s.pass(path, "it is empty", archiveName(name))
	case format.Name != "":
		s.pass(path, "it is "+format.Name+", which is not read", format.Archive || archiveName(name))
	case archiveName(name):
		s.pass(path, "it is no archive, whatever its name says: it may be damaged", true)
	case isDescription(path):
	default:
		s.pass(path, "it is no archive of images", false)
	}
}

// isDescription reports whether a file describes a volume that is beside it.
func isDescription(path string) bool {
	prefix, number, ok := strings.Cut(strings.TrimSuffix(path, ".json"), "-")
	for ok && strings.Contains(number, "-") {
		var more string
		more, number, _ = strings.Cut(number, "-")
		prefix += "-" + more
	}
	_, err := os.Stat(prefix + "." + number)
	return ok && strings.HasSuffix(path, ".json") && err == nil
}

// archiveName reports whether the name of a file is one that archives have.
func archiveName(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{
		".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4", ".tar.lz", ".tar.lzma",
		".tar.z", ".oci", ".zip", ".7z", ".rar",
	} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// formatOf reads the beginning of a file.
func formatOf(path string) (bundle.Format, error) {
	file, err := os.Open(path)
	if err != nil {
		return bundle.Format{}, err
	}
	defer file.Close()
	start := make([]byte, bundle.FormatSize)
	n, err := io.ReadFull(file, start)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return bundle.FormatOf(start[:n]), err
}

// look finds out what is in a candidate of which the first file is known, and whether a volume is missing in its midst.
func (c *candidate) look(volumes map[string][]int) (err error) {
	path := c.sources[0].path
	if c.sources[0].layout {
		return nil
	}
	if c.doc, err = peek(path); err != nil {
		return err
	}
	files, err := filesAt(path)
	if err != nil {
		return err
	}
	c.sources = files
	_, first, isVolume := volume.Parse(path)
	if !isVolume {
		return nil
	}
	numbers := volumes[strings.TrimSuffix(path, filepath.Ext(path))]
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
