package cachetest

import (
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

func testQuarantine(t *blobTest) {
	data := content(300_000)
	d, other := t.put(data), t.put(content(10))
	judge := func(reason string, err error) func(mirror.Blob) (string, error) {
		return func(blob mirror.Blob) (string, error) {
			if got, err := io.ReadAll(blob); err != nil || digest.FromBytes(got) != d || blob.Size != int64(len(got)) {
				t.Errorf("judge reads %d bytes of %d, %v", len(got), blob.Size, err)
			}
			return reason, err
		}
	}
	failure := errors.New("cannot be judged")
	for _, tt := range []struct {
		name  string
		judge func(mirror.Blob) (string, error)
		moved bool
		err   error
	}{
		{"in order", judge("", nil), false, nil},
		{"not judged", judge("", failure), false, failure},
		{"damaged", judge("it is damaged", nil), true, nil},
		{"gone", func(mirror.Blob) (string, error) { t.Error("judged nothing"); return "", nil }, false, nil},
	} {
		t.Run(tt.name, func(st *testing.T) {
			if moved, err := t.blobs.Quarantine(st.Context(), d, tt.judge); moved != tt.moved || !errors.Is(err, tt.err) {
				st.Errorf("moved %t, %v; want %t, %v", moved, err, tt.moved, tt.err)
			}
		})
	}
	t.wantAbsent(d, "")
	t.wantBlob(other, content(10))
	if held := t.all(); len(held) != 1 {
		t.Errorf("All lists %v", held)
	}
	t.wantBlob(t.put(data), data) // it may come again, and be damaged again
	if moved, err := t.blobs.Quarantine(t.Context(), d, judge("again", nil)); !moved || err != nil {
		t.Errorf("moved %t, %v", moved, err)
	}
	t.reopen()
	t.wantAbsent(d, "")
}

// testCommitDuringQuarantine commits a blob while it is being judged: the commit does not rely on what is on its way out.
func testCommitDuringQuarantine(t *blobTest) {
	data := content(1000)
	d := t.put(data)
	w := t.create(digest.SHA256, "")
	t.write(w, data)
	var commit sync.WaitGroup
	moved, err := t.blobs.Quarantine(t.Context(), d, func(mirror.Blob) (string, error) {
		commit.Go(func() {
			if err := w.Commit(t.Context(), d); err != nil {
				t.Errorf("Commit: %v", err)
			}
		})
		return "it is damaged", nil
	})
	if !moved || err != nil {
		t.Errorf("moved %t, %v", moved, err)
	}
	commit.Wait()
	t.wantBlob(d, data)
}
