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

// Unfinished implements [backend.Blobs]. It lists partial blobs and uploads with a state. It leaves out uploads whose
// state is damaged or is being overwritten.
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
				id, isPartial := strings.CutSuffix(id, partialSuffix)
				if isState == isPartial || !validID(id) {
					continue
				}
				blob, found, err := f.unfinished(id)
				if (found || err != nil) && !yield(blob, err) {
					return
				}
			}
		}
	}
}

// unfinished describes an unfinished blob without reading its content.
func (f *Files) unfinished(id string) (blob backend.UnfinishedBlob, found bool, err error) {
	if info, err := os.Stat(f.incoming(id + partialSuffix)); err == nil {
		return backend.UnfinishedBlob{ID: id, Size: info.Size(), Written: info.ModTime()}, true, nil
	}
	s, err := f.loadState(id)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBadState) {
		return backend.UnfinishedBlob{}, false, nil
	}
	var info fs.FileInfo
	if err == nil {
		blob = backend.UnfinishedBlob{ID: id, Label: string(s.Label)}
		info, err = os.Stat(f.incoming(id + stateSuffix))
	}
	if err == nil {
		blob.Written = info.ModTime()
		info, err = os.Stat(f.incoming(id)) // exists from the first write on
	}
	switch {
	case err == nil:
		blob.Size = info.Size()
		if info.ModTime().After(blob.Written) {
			blob.Written = info.ModTime()
		}
		return blob, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return blob, s.Offset == 0 && !blob.Written.IsZero(), nil
	}
	return backend.UnfinishedBlob{}, false, fmt.Errorf("look up blob upload %s: %w", id, err)
}

// Discard implements [backend.Blobs]. It deletes the state last: without it, the content would have no owner.
func (f *Files) Discard(_ context.Context, id string, expired func(written time.Time) bool) (bool, error) {
	if !validID(id) {
		return false, nil
	}
	blob, found, err := f.unfinished(id)
	if err != nil || !found || !expired(blob.Written) {
		return false, err
	}
	if err := errors.Join(remove(f.incoming(id)), remove(f.incoming(id+partialSuffix)), remove(f.incoming(id+stateSuffix))); err != nil {
		return false, fmt.Errorf("discard blob upload %s: %w", id, err)
	}
	return true, nil
}
