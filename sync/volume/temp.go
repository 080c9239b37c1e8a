package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"airmirror/mirror/durable"
	"airmirror/sync/parity"
)

const (
	// tempSuffix is appended to the path of a stream for the file that is being written. All volumes use the same file, so
	// that its lock protects the whole set, and a killed process leaves one file only.
	tempSuffix = "-part"
	// writebackStep is the number of bytes after which writing to disk is started, so that the fsync at the end waits for
	// the last bytes only.
	writebackStep = 8 << 20
)

// tempFile is a file that is being written and does not have its final name yet.
type tempFile struct {
	file          *os.File
	size          int64
	writebackFrom int64 // offset after which writeback was not started

	renamed bool // the file has its final name and is closed
}

func newTempFile(prefix string) (*tempFile, error) {
	file, err := durable.CreateTemp(prefix + tempSuffix)
	if err != nil {
		return nil, err
	}
	return &tempFile{file: file}, nil
}

func (t *tempFile) write(b []byte) error {
	n, err := t.file.Write(b)
	t.size += int64(n)
	if t.size-t.writebackFrom >= writebackStep {
		durable.StartWriteback(t.file, t.writebackFrom, t.size-t.writebackFrom)
		t.writebackFrom = t.size
	}
	return err
}

// remove removes the file, unless it was renamed. It closes, and so unlocks, the file after that.
func (t *tempFile) remove() error {
	if t.renamed {
		return nil
	}
	err := os.Remove(t.file.Name())
	closed := t.file.Close()
	if runtime.GOOS == "windows" { // Windows cannot remove open files
		err = os.Remove(t.file.Name())
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if errors.Is(closed, os.ErrClosed) {
		closed = nil
	}
	return errors.Join(err, closed)
}

// publish makes temp durable, writes its description and gives it its final name. Files that have their final names
// are in w.created, also after an error.
func (w *Writer) publish(last bool) error {
	if err := w.publishTemp(last); err != nil {
		return fmt.Errorf("finish %s: %w", w.prefix, err)
	}
	w.offset += w.temp.size
	w.temp = nil
	return nil
}

func (w *Writer) publishTemp(last bool) error {
	if err := w.temp.file.Sync(); err != nil {
		return err
	}
	if err := w.removeReplaced(); err != nil {
		return err
	}
	if w.size == 0 {
		return w.rename(w.prefix)
	}
	description := w.describe(last)
	path := fileName(w.prefix, description.Number, w.digits)
	if err := w.writeDescription(description, DescriptionPath(path)); err != nil {
		return err
	}
	if err := w.rename(path); err != nil {
		return err
	}
	if w.opts.Parity > 0 {
		described := description
		described.Blocks = slices.Clone(w.blocks)
		w.described = append(w.described, described)
	}
	description.Blocks, w.blocks = nil, w.blocks[:0]
	w.hash.Reset()
	w.volumes = append(w.volumes, description)
	return nil
}

// removeReplaced removes the old volumes, so that no new volume is next to an old one, and the parity of an old plain file. It
// leaves the plain file alone, which the rename replaces atomically.
func (w *Writer) removeReplaced() error {
	for _, path := range w.replaced {
		if w.size == 0 && path == w.prefix {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	w.replaced = nil
	return nil
}

// rename gives temp its final name, durably.
func (w *Writer) rename(path string) error {
	if err := w.checkVacant(path); err != nil {
		return err
	}
	if err := durable.RenameTemp(w.temp.file, path); err != nil {
		return err
	}
	w.temp.renamed = true
	w.created = append(w.created, path)
	return durable.SyncFolder(filepath.Dir(path))
}

// checkVacant returns an error if another process created a file of that name after [Create] checked it.
func (w *Writer) checkVacant(path string) error {
	if _, err := os.Lstat(path); err == nil && !w.opts.Overwrite {
		return existsError(path)
	}
	return nil
}

func (w *Writer) writeDescription(d Description, path string) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return w.writeText(append(text, '\n'), path)
}

// writeText writes a description.
func (w *Writer) writeText(text []byte, path string) error {
	if err := w.checkVacant(path); err != nil {
		return err
	}
	temporary := w.prefix + tempSuffix + ".json" // the lock of temp protects it
	if err := writeSynced(temporary, text); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	w.created = append(w.created, path)
	return durable.SyncFolder(filepath.Dir(path))
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// existingPlain returns those of the paths that exist.
func existingPlain(paths ...string) (found []string, err error) {
	for _, path := range paths {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, errors.New("a file of that name exists and is not regular")
		}
		found = append(found, path)
	}
	return found, nil
}

// existingFiles returns the files that writing to prefix would replace: the plain file with its parity, or all volumes and descriptions of
// the set, with any number of digits.
func existingFiles(prefix string, volumes bool) ([]string, error) {
	if !volumes {
		return existingPlain(prefix, parity.Path(prefix))
	}
	entries, err := os.ReadDir(filepath.Dir(prefix))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		if !belongsToSet(entry.Name(), filepath.Base(prefix)) {
			continue
		}
		if entry.IsDir() {
			return nil, fmt.Errorf("%s is a folder: move it away or choose another name", entry.Name())
		}
		found = append(found, filepath.Join(filepath.Dir(prefix), entry.Name()))
	}
	return found, nil
}

// belongsToSet reports whether file is the name of a volume, a parity volume or a description of the set with that name.
func belongsToSet(file, name string) bool {
	if of, _, ok := ParseParity(file); ok && of == name {
		return true
	}
	if of, _, ok := Parse(file); ok && of == name {
		return true
	}
	rest, ok := strings.CutPrefix(file, name+"-")
	if !ok {
		return false
	}
	digits, ok := strings.CutSuffix(rest, ".json")
	of, _, isNumber := Parse(name + "." + digits)
	return ok && isNumber && of == name
}
