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
			t.Errorf("Delete of a blob that is not there: %v", err)
		}
	}
	if held := t.all(); len(held) != 0 {
		t.Errorf("All of an empty store lists %v", held)
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
	t.wantRead(reader, data) // who was reading goes on
	t.wantBlob(other, content(10))
	t.wantBlob(t.put(data), data) // and it may come again
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
	t.write(t.create(digest.SHA256, "under way"), content(100))
	t.write(t.create(digest.SHA256, ""), content(100))

	held := t.all()
	if len(held) != len(want) {
		t.Errorf("All lists %d blobs, want %d", len(held), len(want))
	}
	for d, size := range want {
		if got, ok := held[d]; !ok || got != size {
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
		t.Errorf("All yielded %d blobs to a loop that ended after 3", n)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range t.blobs.All(cancelled) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("All ended with %v when its context was cancelled", last)
	}
}
