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

// Unfinished implements [backend.Blobs]. It lists uploads with a state, and partial blobs.
func (f *Files) Unfinished(ctx context.Context) iter.Seq2[backend.UnfinishedBlob, error] {
	return func(yield func(backend.UnfinishedBlob, error) bool) {
		for _, id := range f.states.ids() {
			if !f.yieldUnfinished(id, yield) {
				return
			}
		}
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
				id, isPartial := strings.CutSuffix(name, partialSuffix)
				if isPartial && validID(id) && !f.yieldUnfinished(id, yield) {
					return
				}
			}
		}
	}
}

// yieldUnfinished yields an unfinished blob if there still is one, and reports whether to continue.
func (f *Files) yieldUnfinished(id string, yield func(backend.UnfinishedBlob, error) bool) bool {
	blob, found, err := f.unfinished(id)
	return !found && err == nil || yield(blob, err)
}

// unfinished describes an unfinished blob without reading its content.
func (f *Files) unfinished(id string) (blob backend.UnfinishedBlob, found bool, err error) {
	if info, err := os.Stat(f.incoming(id + partialSuffix)); err == nil {
		return backend.UnfinishedBlob{ID: id, Size: info.Size(), Written: info.ModTime()}, true, nil
	}
	s := f.states.get(id)
	if s == nil {
		return backend.UnfinishedBlob{}, false, nil
	}
	blob = backend.UnfinishedBlob{ID: id, Label: string(s.Label), Written: s.Written}
	info, err := os.Stat(f.incoming(id)) // exists from the first write on
	switch {
	case err == nil:
		blob.Size, blob.Written = info.Size(), info.ModTime()
		return blob, true, nil
	case errors.Is(err, fs.ErrNotExist):
		return blob, s.Offset == 0, nil
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
	err = errors.Join(remove(f.incoming(id)), remove(f.incoming(id+partialSuffix)))
	if err == nil {
		err = f.states.remove(id)
	}
	if err != nil {
		return false, fmt.Errorf("discard blob upload %s: %w", id, err)
	}
	return true, nil
}
