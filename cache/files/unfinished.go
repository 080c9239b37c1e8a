package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"airmirror/cache/backend"
)

// Unfinished implements [backend.Blobs]: it lists parts and what has a state. One that is damaged, or overwritten at this moment,
// is left out.
func (f *Files) Unfinished(ctx context.Context) iter.Seq2[backend.UnfinishedBlob, error] {
	return func(yield func(backend.UnfinishedBlob, error) bool) {
		folder, err := os.Open(f.incoming(""))
		if err != nil {
			yield(backend.UnfinishedBlob{}, fmt.Errorf("list blob uploads: %w", err))
			return
		}
		defer folder.Close()
		for {
			names, err := folder.Readdirnames(256)
			if err == nil {
				err = ctx.Err()
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(backend.UnfinishedBlob{}, fmt.Errorf("list blob uploads: %w", err))
				return
			}
			for _, name := range names {
				id, isState := strings.CutSuffix(name, stateSuffix)
				id, isPart := strings.CutSuffix(id, partialSuffix)
				if isState == isPart || !validID(id) {
					continue
				}
				begun, found, err := f.unfinished(id)
				if (found || err != nil) && !yield(begun, err) {
					return
				}
			}
		}
	}
}

// begun looks at a blob that was begun, without reading its bytes.
func (f *Files) unfinished(id string) (begun backend.UnfinishedBlob, found bool, err error) {
	if info, err := os.Stat(f.incoming(id + partialSuffix)); err == nil {
		return backend.UnfinishedBlob{ID: id, Size: info.Size(), Written: info.ModTime()}, true, nil
	}
	s, err := f.loadState(id)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBadState) {
		return backend.UnfinishedBlob{}, false, nil
	}
	var info fs.FileInfo
	if err == nil {
		begun = backend.UnfinishedBlob{ID: id, Label: string(s.Label)}
		info, err = os.Stat(f.incoming(id + stateSuffix))
	}
	if err == nil {
		begun.Written = info.ModTime()
		info, err = os.Stat(f.incoming(id)) // not there before the first byte
	}
	switch {
	case err == nil:
		begun.Size = info.Size()
		if info.ModTime().After(begun.Written) {
			begun.Written = info.ModTime()
		}
		return begun, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return begun, s.Offset == 0 && !begun.Written.IsZero(), nil
	}
	return backend.UnfinishedBlob{}, false, fmt.Errorf("look up blob upload %s: %w", id, err)
}

// Discard implements [backend.Blobs]. The state goes last: without it, nobody would know whose the bytes are.
func (f *Files) Discard(_ context.Context, id string, idle func(written time.Time) bool) (bool, error) {
	if !validID(id) {
		return false, nil
	}
	begun, found, err := f.unfinished(id)
	if err != nil || !found || !idle(begun.Written) {
		return false, err
	}
	if err := errors.Join(remove(f.incoming(id)), remove(f.incoming(id+partialSuffix)), remove(f.incoming(id+stateSuffix))); err != nil {
		return false, fmt.Errorf("drop blob upload %s: %w", id, err)
	}
	return true, nil
}
