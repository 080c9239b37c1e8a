package files

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// target returns the path of a blob.
func target(t *testing.T, f *Files, d digest.Digest) string {
	t.Helper()
	path, err := f.path(d)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func noWait(context.Context, int) error { return nil }

// TestUnverifiedBlobIsReplaced checks that a commit replaces a file that is not verified, and keeps one that is.
func TestUnverifiedBlobIsReplaced(t *testing.T) {
	const data, wrong = "the right bytes", "the wrong bytes"
	d := digest.FromString(data)
	folder := t.TempDir()
	f := open(t, folder)
	commit := func(f *Files) {
		t.Helper()
		if err := create(t, f, "", data).Commit(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	inode := func() uint64 {
		t.Helper()
		info, err := os.Stat(target(t, f, d))
		if err != nil {
			t.Fatal(err)
		}
		return versionOf(info).inode
	}
	commit(f)
	first := inode()
	commit(f)
	if inode() != first {
		t.Error("a verified file was replaced")
	}

	damage := func() {
		t.Helper()
		path := target(t, f, d)
		if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil { // file systems with coarse times need a clear change
			t.Fatal(err)
		}
	}
	damage()
	commit(f)
	wantFile(t, target(t, f, d), data)

	damage()
	f = open(t, folder) // another process has verified nothing
	commit(f)
	wantFile(t, target(t, f, d), data)
}

// TestCheckMarksBlobVerified checks that a file stays verified until it changes or a week has passed.
func TestCheckMarksBlobVerified(t *testing.T) {
	const data = "content"
	d, folder := digest.FromString(data), t.TempDir()
	if err := create(t, open(t, folder), "", data).Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	f := open(t, folder)
	verified := func() bool {
		t.Helper()
		blob, err := f.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		defer blob.Close()
		return f.Verified(d, blob)
	}
	if verified() {
		t.Error("a file is verified that this process never read")
	}
	if reason, err := f.Check(t.Context(), d, noWait); reason != "" || err != nil {
		t.Fatal(reason, err)
	}
	if !verified() {
		t.Error("a checked file is not verified")
	}
	if err := os.Chtimes(target(t, f, d), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if verified() {
		t.Error("a changed file is verified")
	}
	if err := os.WriteFile(target(t, f, d), []byte("CONTENT"), 0o600); err != nil {
		t.Fatal(err)
	}
	if reason, err := f.Check(t.Context(), d, noWait); reason == "" || err != nil || verified() {
		t.Errorf("damaged file: %q, %v, verified: %t", reason, err, verified())
	}
}
