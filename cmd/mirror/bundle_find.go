package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"airmirror/sync/parity"
	"airmirror/sync/volume"
)

// protected is a bundle with parity: one file, or volumes.
type protected struct {
	path   string // of the file, or of any file of the volumes
	single bool
}

// protectedAt returns the bundle to check or repair: the one that path belongs to, or the one bundle in a folder that has
// parity.
func protectedAt(path string) (protected, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return protectedIn(path)
	}
	if file, ok := parity.FileOf(path); ok {
		return protected{file, true}, nil
	}
	return protected{path, parity.Exists(path)}, nil // it may be missing
}

// protectedIn returns the one bundle in a folder that has parity.
func protectedIn(folder string) (protected, error) {
	list, err := allProtected(folder)
	switch {
	case err != nil:
		return protected{}, err
	case len(list) == 0:
		return protected{}, fmt.Errorf("%s contains no parity: export with --parity to be able to repair a bundle", folder)
	case len(list) > 1:
		return protected{}, fmt.Errorf("%s contains several bundles with parity: name a file of one, such as %s or %s", folder, list[0].path, list[1].path)
	}
	return list[0], nil
}

// allProtected returns the bundles in a folder that have parity.
func allProtected(folder string) (list []protected, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		if name, _, ok := volume.ParseParity(path); ok {
			if strings.HasSuffix(path, ".json") && !seen[name] {
				seen[name] = true
				list = append(list, protected{path: filepath.Join(folder, name+".001")})
			}
		} else if file, ok := parity.FileOf(path); ok && entry.Type().IsRegular() {
			list = append(list, protected{file, true})
		}
	}
	return list, nil
}

// repairAdvice says how to repair the bundle of a file, if there is parity beside it.
func repairAdvice(path string) string {
	prefix := strings.TrimSuffix(path, filepath.Ext(path))
	if found, err := filepath.Glob(prefix + "-parity-*.json"); !parity.Exists(path) && (err != nil || len(found) == 0) {
		return ""
	}
	return fmt.Sprintf(", or rebuild it with 'mirror bundle repair %s'", path)
}
