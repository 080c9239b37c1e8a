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
	check := func(reason string, err error) func(mirror.Blob) (string, error) {
		return func(blob mirror.Blob) (string, error) {
			if got, err := io.ReadAll(blob); err != nil || digest.FromBytes(got) != d || blob.Size != int64(len(got)) {
				t.Errorf("check reads %d bytes of %d, %v", len(got), blob.Size, err)
			}
			return reason, err
		}
	}
	failure := errors.New("check failed")
	for _, tt := range []struct {
		name  string
		check func(mirror.Blob) (string, error)
		moved bool
		err   error
	}{
		{"undamaged", check("", nil), false, nil},
		{"check fails", check("", failure), false, failure},
		{"damaged", check("it is damaged", nil), true, nil},
		{"not stored", func(mirror.Blob) (string, error) { t.Error("check was called"); return "", nil }, false, nil},
	} {
		t.Run(tt.name, func(st *testing.T) {
			if moved, err := t.blobs.Quarantine(st.Context(), d, tt.check); moved != tt.moved || !errors.Is(err, tt.err) {
				st.Errorf("moved %t, %v; want %t, %v", moved, err, tt.moved, tt.err)
			}
		})
	}
	t.wantAbsent(d, "")
	t.wantBlob(other, content(10))
	if stored := t.all(); len(stored) != 1 {
		t.Errorf("All lists %v", stored)
	}
	t.wantBlob(t.put(data), data) // it can be stored and quarantined again
	if moved, err := t.blobs.Quarantine(t.Context(), d, check("again", nil)); !moved || err != nil {
		t.Errorf("moved %t, %v", moved, err)
	}
	t.reopen()
	t.wantAbsent(d, "")
}

// testCommitDuringQuarantine commits a blob while it is being quarantined. The commit must not rely on the file that
// is moved away.
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
