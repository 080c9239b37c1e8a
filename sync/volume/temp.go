package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	// tempSuffix is what the file that is being written is called after the path that was given, for all volumes the same:
	// its lock is the lock of the whole set, and there is one to be found after a process was killed.
	tempSuffix = "-part"
	// writebackStep is how many bytes are written before the disk is told to begin with them: the fsync at the end then
	// waits for the last of them and not for all.
	writebackStep = 8 << 20
)

// part is a file that is being written, and has no final name yet.
type tempFile struct {
	file          *os.File
	size          int64
	writebackFrom int64 // where the bytes begin that the disk was not told of

	renamed bool // it has its final name, and is closed
}

func newTempFile(prefix string) (*tempFile, error) {
	file, err := createTemp(prefix + tempSuffix)
	if err != nil {
		return nil, err
	}
	return &tempFile{file: file}, nil
}

func (p *tempFile) write(b []byte) error {
	n, err := p.file.Write(b)
	p.size += int64(n)
	if p.size-p.writebackFrom >= writebackStep {
		startWriteback(p.file, p.writebackFrom, p.size-p.writebackFrom)
		p.writebackFrom = p.size
	}
	return err
}

// remove removes the file before it closes, and with that unlocks, it.
func (p *tempFile) remove() error {
	if p.renamed {
		return nil
	}
	err := os.Remove(p.file.Name())
	closed := p.file.Close()
	if runtime.GOOS == "windows" { // it removes no file that is open
		err = os.Remove(p.file.Name())
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if errors.Is(closed, os.ErrClosed) {
		closed = nil
	}
	return errors.Join(err, closed)
}

// publish makes what was written durable and gives it its final name, having published its description. After an error
// what of it has a final name is in w.made.
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
	description.Blocks, w.blocks = nil, w.blocks[:0]
	w.volumes = append(w.volumes, description)
	return nil
}

// removeReplaced removes what is overwritten, so that no new volume stands beside an old one. A plain file is left: its
// replacement takes its place in one step.
func (w *Writer) removeReplaced() error {
	for _, path := range w.replaced {
		if w.size == 0 {
			break
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	w.replaced = nil
	return nil
}

// rename gives the part its final name, durably.
func (w *Writer) rename(path string) error {
	if err := w.checkVacant(path); err != nil {
		return err
	}
	if err := renameTemp(w.temp.file, path); err != nil {
		return err
	}
	w.temp.renamed = true
	w.created = append(w.created, path)
	return syncFolder(filepath.Dir(path))
}

// vacant looks again: somebody may have put a file there since the beginning.
func (w *Writer) checkVacant(path string) error {
	if _, err := os.Lstat(path); err == nil && !w.opts.Overwrite {
		return fmt.Errorf("%s: %w", path, os.ErrExist)
	}
	return nil
}

func (w *Writer) writeDescription(d Description, path string) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := w.checkVacant(path); err != nil {
		return err
	}
	temporary := w.prefix + tempSuffix + ".json" // nobody else writes it: the part is locked
	if err := writeSynced(temporary, append(text, '\n')); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	w.created = append(w.created, path)
	return syncFolder(filepath.Dir(path))
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}

// existing returns the files that writing to prefix would replace: the file itself, or all volumes and descriptions of
// its set, however many digits their numbers have.
func existingFiles(prefix string, volumes bool) ([]string, error) {
	if !volumes {
		info, err := os.Lstat(prefix)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, errors.New("it is there, and not a regular file")
		}
		return []string{prefix}, nil
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
			return nil, fmt.Errorf("%s is in the way: it is a folder", entry.Name())
		}
		found = append(found, filepath.Join(filepath.Dir(prefix), entry.Name()))
	}
	return found, nil
}

// belongs reports whether a file is called like a volume, or its description, of the set with that name.
func belongsToSet(file, name string) bool {
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

// syncFolder makes a rename durable, where a folder can be synced.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // some network file systems cannot
	}
	return errors.Join(err, folder.Close())
}
