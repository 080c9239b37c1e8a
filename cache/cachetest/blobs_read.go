package cachetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

func testUnknown(t *blobTest) {
	for _, d := range []digest.Digest{digest.FromString("nobody"), digest.SHA512.FromString("nobody")} {
		t.wantAbsent(d, "")
		if err := t.blobs.Delete(t.Context(), d); err != nil {
			t.Errorf("Delete of an unknown blob: %v", err)
		}
	}
	if stored := t.all(); len(stored) != 0 {
		t.Errorf("All of an empty store lists %v", stored)
	}
}

func testInvalid(t *blobTest) {
	for _, d := range []digest.Digest{
		"", "sha256", "sha256:", "sha256:abc", "sha256:../../../../etc/passwd", "md5:d41d8cd98f00b204e9800998ecf8427e",
		digest.Digest("sha256:" + strings.Repeat("/", 64)), digest.Digest("sha256:" + strings.Repeat("A", 64)),
		digest.Digest("sha384:" + strings.Repeat("a", 96)), digest.Digest("../x:" + strings.Repeat("a", 64)),
	} {
		t.Run(d.String(), func(st *testing.T) {
			t := t.in(st)
			if _, err := t.blobs.Stat(t.Context(), d); err == nil {
				t.Error("Stat succeeded")
			}
			if blob, err := t.blobs.Open(t.Context(), d); err == nil {
				blob.Close()
				t.Error("Open succeeded")
			}
			t.wantCode("Verify", t.create(digest.SHA256, "").Verify(d), mirror.CodeDigestInvalid)
			t.wantCode("Commit", t.create(digest.SHA256, "").Commit(t.Context(), d), mirror.CodeDigestInvalid)
			if err := t.blobs.Delete(t.Context(), d); err == nil {
				t.Error("Delete succeeded")
			}
		})
	}
	for _, a := range []digest.Algorithm{"", "md5", digest.SHA384} {
		if _, err := t.blobs.Create(t.Context(), a, ""); err == nil {
			t.Errorf("Create with algorithm %q succeeded", a)
		}
	}
}

func testDelete(t *blobTest) {
	data := content(300_000)
	d, other := t.put(data), t.put(content(10))
	reader, err := t.blobs.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := t.blobs.Delete(t.Context(), d); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	t.wantAbsent(d, "")
	t.wantRead(reader, data) // an open blob stays readable
	t.wantBlob(other, content(10))
	t.wantBlob(t.put(data), data) // it can be stored again
}

func testAll(t *blobTest) {
	want := map[digest.Digest]int64{}
	for size := range 40 {
		want[t.put(content(size))] = int64(size)
	}
	w := t.create(digest.SHA512, "")
	t.write(w, content(7))
	t.commit(w, digest.SHA512.FromBytes(content(7)))
	want[digest.SHA512.FromBytes(content(7))] = 7
	t.write(t.create(digest.SHA256, "unfinished"), content(100))
	t.write(t.create(digest.SHA256, ""), content(100))

	stored := t.all()
	if len(stored) != len(want) {
		t.Errorf("All lists %d blobs, want %d", len(stored), len(want))
	}
	for d, size := range want {
		if got, ok := stored[d]; !ok || got != size {
			t.Errorf("All lists %s: %v with size %d, want %d", d, ok, got, size)
		}
	}
	n := 0
	for range t.blobs.All(t.Context()) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("All yielded %d blobs to a loop that stopped after 3", n)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range t.blobs.All(canceled) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("All ended with %v after its context was canceled", last)
	}
}
