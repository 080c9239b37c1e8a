package main

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/parity"
	"airmirror/sync/volume"
)

// restore repairs what keeps bundles with parity from being found: volumes that are missing, and files whose beginning is
// damaged. Damage further on is found by the import, see rescue.
func (im *imports) restore() error {
	if im.DryRun {
		return nil
	}
	for _, path := range im.bundles {
		for _, b := range im.protectedBelow(path) {
			if !b.lost() {
				continue
			}
			if _, err := im.rebuild(b); err != nil {
				if err := im.showNote(b.path, "not repaired: "+err.Error()); err != nil {
					return err
				}
			}
		}
	}
	return im.cmd.Context().Err()
}

// protectedBelow returns the bundles with parity that a path names: the bundle of a file, or all in a folder and below.
func (im *imports) protectedBelow(path string) (list []protected) {
	_ = filepath.WalkDir(path, func(sub string, entry fs.DirEntry, err error) error {
		if err != nil { // the search reports it; a volume may be missing
			return fs.SkipDir
		}
		if entry.IsDir() {
			found, _ := allProtected(sub)
			list = append(list, found...)
		}
		return nil
	})
	if len(list) > 0 || path == "-" {
		return list
	}
	if b, err := protectedAt(path); err == nil {
		list = append(list, b)
	}
	return list
}

// lost reports whether volumes are missing or have wrong sizes, or the document of a single file cannot be read. It reads
// little.
func (b protected) lost() bool {
	if !b.single {
		return len(volume.Lost(b.path)) > 0
	}
	if !parity.Exists(b.path) {
		return false
	}
	format, err := formatOf(b.path)
	if err != nil || !format.Read {
		return true
	}
	doc, err := peek(b.path)
	return err != nil || doc == nil
}

// rescue repairs a source after a failed import, if there is parity. It reports whether the import is worth another try. The
// error is that of the import, with the reason why nothing could be repaired.
func (im *imports) rescue(s source, err error) (again bool, _ error) {
	b := protected{path: s.path, single: s.volume == nil && parity.Exists(s.path)}
	if im.DryRun || im.cmd.Context().Err() != nil || s.layout || s.path == "-" || !b.single && s.volume == nil || !damaged(err) {
		return false, err
	}
	repaired, failed := im.rebuild(b)
	switch {
	case failed == nil:
		return repaired, err
	case mirror.CodeOf(failed) == mirror.CodeUnsupported: // there is no parity
		return false, err
	}
	return false, fmt.Errorf("%w; it was not repaired from its parity: %v; see 'mirror bundle verify %s'", err, failed, s.path)
}

// damaged reports whether the error of an import can be due to damage of its source.
func damaged(err error) bool {
	switch mirror.CodeOf(err) {
	case mirror.CodeDigestInvalid, mirror.CodeSizeInvalid, mirror.CodeBundleInvalid, mirror.CodeManifestInvalid, mirror.CodeDenied, mirror.CodeUnavailable, mirror.CodeUnknown:
		return true // a signature of a damaged document is denied, and what is cut off is unavailable
	}
	return false
}

// rebuild repairs a bundle and says so. It reports whether anything was repaired.
func (im *imports) rebuild(b protected) (repaired bool, err error) {
	if b.single {
		r, err := parity.Repair(im.cmd.Context(), b.path, "")
		if err != nil || !r.Repaired {
			return false, err
		}
		return true, im.showNote(b.path, fmt.Sprintf("repaired: %s rebuilt from %s", blocks(r.Damaged), filepath.Base(r.Parity)))
	}
	r, err := volume.Repair(b.path)
	if err != nil {
		return false, err
	}
	for _, name := range r.Rebuilt {
		if err := im.showNote(filepath.Join(filepath.Dir(b.path), name), "repaired: rebuilt from parity"); err != nil {
			return true, err
		}
	}
	return len(r.Rebuilt) > 0, nil
}

// showNote shows what was done to a source before it is imported.
func (im *imports) showNote(name, text string) error {
	if im.json {
		return printItem(im.cmd.OutOrStdout(), admin.KindNote, admin.Notice{Name: name, Reason: text})
	}
	printText(im.cmd.OutOrStdout(), "%s: %s", name, text)
	return nil
}
