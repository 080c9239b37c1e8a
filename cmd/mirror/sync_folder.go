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
	"airmirror/sync/parity"
	"airmirror/sync/volume"
)

// maxFolders is the maximum depth of the search for archives.
const maxFolders = 8

// search searches a folder and its subfolders for archives.
type search struct {
	found   []candidate
	skipped []skippedFile
	volumes map[string][]int // by the path of the set, ascending
}

// candidate is an archive, or the volumes of a bundle, in a folder.
type candidate struct {
	doc     *bundle.Document // nil for another archive, and for later volumes of a bundle
	sources []source
}

// searchFolder returns the archives in a folder: the bundles of each mirror in their order of creation, then all other
// archives.
func searchFolder(folder string) (sources, error) {
	s := &search{volumes: map[string][]int{}}
	if err := s.folder(folder, 0); err != nil {
		return sources{}, err
	}
	var found []candidate
	for _, c := range s.found {
		if err := c.look(s.volumes); err != nil { // continue with the others
			s.skip(c.sources[0].path, err.Error(), true)
			continue
		}
		found = append(found, c)
	}
	if len(found) == 0 && !slices.ContainsFunc(s.skipped, func(p skippedFile) bool { return p.archive }) {
		return sources{}, fmt.Errorf("%s: %w, no OCI image layout and no tar archive", folder, errNoSource)
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		if a.doc == nil || b.doc == nil {
			return cmp.Compare(boolToInt(a.doc == nil), boolToInt(b.doc == nil))
		}
		return cmp.Or(cmp.Compare(a.doc.Source, b.doc.Source), cmp.Compare(a.doc.Destination, b.doc.Destination), cmp.Compare(a.doc.Sequence, b.doc.Sequence))
	})
	all := sources{skipped: s.skipped}
	for _, c := range found {
		all.list = append(all.list, c.sources...)
	}
	return all, nil
}

// skip records a file that is not imported.
func (s *search) skip(path, reason string, archive bool) {
	s.skipped = append(s.skipped, skippedFile{path, reason, archive})
}

// layoutFiles are the files of an OCI image layout, and files that tools add to it.
var layoutFiles = []string{bundle.LayoutName, bundle.IndexName, bundle.DockerName, bundle.DocumentName, bundle.SignatureName, "blobs", "ingest", "repositories"}

// folder searches one folder.
func (s *search) folder(folder string, depth int) error {
	entries, err := os.ReadDir(folder)
	if err != nil && depth == 0 {
		return err
	}
	if err != nil {
		s.skip(folder, err.Error(), true)
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
		s.skip(folder, "it is an image in the dir: format of skopeo and podman: use oci-archive: or oci: instead", true)
		return nil
	case has(bundle.DockerName):
		s.skip(folder, "it is an unpacked archive of docker save: pack it with tar again", true)
		return nil
	case has("docker/registry/v2"):
		s.skip(folder, "it is the storage folder of a registry: import it with --registry-root", true)
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

// entry checks a file or a folder in a folder.
func (s *search) entry(path string, depth int) {
	name := filepath.Base(path)
	info, err := os.Stat(path) // follows links
	switch {
	case bundle.Ignored(name):
		s.skip(path, "it is a file of an operating system", false)
	case err != nil:
		s.skip(path, err.Error(), archiveName(name))
	case info.IsDir() && depth == maxFolders:
		s.skip(path, "it is too deep in subfolders", true)
	case info.IsDir():
		_ = s.folder(path, depth+1) // records folders that cannot be read
	case !info.Mode().IsRegular():
		s.skip(path, "it is not a regular file", archiveName(name))
	default:
		s.file(path, info.Size())
	}
}

// unfinished are suffixes of the names of unfinished downloads and copies.
var unfinished = []string{".part", ".partial", ".crdownload", ".download", ".filepart", ".opdownload", ".tmp", ".temp", ".aria2", ".!ut", ".unconfirmed"}

// file checks a file by its content, not by its name.
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
		s.skip(path, "it is an unfinished download or copy", true)
		return
	}
	format, err := formatOf(path)
	switch {
	case err != nil:
		s.skip(path, err.Error(), archiveName(name))
	case format.Read:
		s.found = append(s.found, candidate{sources: []source{{path: path}}})
	case size == 0:
		s.skip(path, "it is empty", archiveName(name))
	case format.Name != "":
		s.skip(path, "it is "+format.Name+", which is not supported", format.Archive || archiveName(name))
	case archiveName(name):
		s.skip(path, "it is not an archive despite its name: it may be damaged", true)
	case isDescription(path) || isParity(path):
	default:
		s.skip(path, "it is not an archive of images", false)
	}
}

// isDescription reports whether a file is the description of a volume beside it.
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

// isParity reports whether a file is a parity volume, the description of one, or the parity of a file.
func isParity(path string) bool {
	_, _, isVolume := volume.ParseParity(path)
	_, isFile := parity.FileOf(path)
	return isVolume || isFile
}

// archiveName reports whether a file has the name of an archive.
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

// formatOf returns the format of a file, which it determines from its beginning.
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

// look reads the document of a candidate, and finds its volumes. It returns an error if a volume between others is missing.
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
		return fmt.Errorf("%s is missing, but later volumes exist: copy it as well%s", volume.File(path, next), repairAdvice(path))
	}
	return nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
