package objects

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// TestUploadOnNodes continues an upload on another node after each request.
func TestUploadOnNodes(t *testing.T) {
	s, index := store(t), openIndex(t)
	nodes := []*Objects{openNode(t, s, index), openNode(t, s, index)}
	data := make([]byte, partSize+minPart+300_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	w, err := nodes[0].Create(t.Context(), digest.SHA256, "upload")
	must(t, err)
	must(t, w.Suspend())
	at := 0
	for i, next := range []int{100, 200_000, 200_001, partSize + 100_000, partSize + minPart + 100_001, len(data)} {
		w, err = nodes[i%2].Resume(t.Context(), w.ID())
		must(t, err)
		if w.Size() != int64(at) || w.Label() != "upload" {
			t.Fatalf("resumed with size %d, label %q; want %d, upload", w.Size(), w.Label(), at)
		}
		_, err = w.Write(data[at:next])
		must(t, err)
		at = next
		must(t, w.Suspend())
	}
	w, err = nodes[0].Resume(t.Context(), w.ID())
	must(t, err)
	d := digest.FromBytes(data)
	must(t, w.Commit(t.Context(), d))
	for _, o := range nodes {
		if got, err := read(t, o, d); err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	}
	if _, err := nodes[1].Resume(t.Context(), w.ID()); mirror.CodeOf(err) != mirror.CodeBlobUploadUnknown {
		t.Errorf("Resume after Commit: %v", err)
	}
	_, err = nodes[0].Clean(t.Context(), time.Now().Add(time.Hour))
	must(t, err)
	if got, err := read(t, openNode(t, s, index), d); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after Clean, read %d bytes, %v", len(got), err)
	}
	wantObjects(t, s, 1)
}

// TestReplacedWriter continues an upload on another node while the first one still writes, as after a pause.
func TestReplacedWriter(t *testing.T) {
	for _, end := range []struct {
		name string
		end  func(backend.Writer) error
	}{
		{"Suspend", backend.Writer.Suspend},
		{"Commit", func(w backend.Writer) error { return w.Commit(t.Context(), digest.FromBytes(large())) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			s, index := store(t), openIndex(t)
			a, b := openNode(t, s, index), openNode(t, s, index)
			first, err := a.Create(t.Context(), digest.SHA256, "upload")
			must(t, err)
			_, err = first.Write(large())
			must(t, err)
			second, err := b.Resume(t.Context(), first.ID())
			must(t, err)
			_, err = second.Write([]byte("other"))
			must(t, err)
			must(t, second.Suspend())
			if err := end.end(first); mirror.CodeOf(err) != mirror.CodeUploadBusy {
				t.Errorf("%s of a replaced writer: %v", end.name, err)
			}
			must(t, first.Abort())
			second, err = b.Resume(t.Context(), first.ID())
			must(t, err)
			must(t, second.Commit(t.Context(), digest.FromString("other")))
			if _, err := b.Stat(t.Context(), digest.FromBytes(large())); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Errorf("Stat of what the replaced writer wrote: %v", err)
			}
			_, err = a.Clean(t.Context(), time.Now().Add(time.Hour))
			must(t, err)
			wantObjects(t, s, 0)
		})
	}
}

// TestCommitOnNodes stores the same content on two nodes. Each one writes an object; that of the first one is deleted.
func TestCommitOnNodes(t *testing.T) {
	s, index := store(t), openIndex(t)
	a, b := openNode(t, s, index), openNode(t, s, index)
	d := put(t, a, large())
	put(t, b, large())
	_, err := a.Clean(t.Context(), time.Now().Add(time.Hour))
	must(t, err)
	wantObjects(t, s, 1)
	for _, o := range []*Objects{a, b, openNode(t, s, index)} {
		if got, err := read(t, o, d); err != nil || !bytes.Equal(got, large()) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	}
}

// TestAbandonedParts lets a process die while it writes content without a label.
func TestAbandonedParts(t *testing.T) {
	s, index := store(t), openIndex(t)
	o := openNode(t, s, index)
	w, err := o.Create(t.Context(), digest.SHA256, "")
	must(t, err)
	_, err = w.Write(make([]byte, partSize+1))
	must(t, err)
	must(t, w.(*writer).awaitParts())
	for range o.Unfinished(t.Context()) {
		t.Error("content without a label is listed as unfinished")
	}
	_, err = o.Clean(t.Context(), time.Now().Add(time.Hour))
	must(t, err)
	wantRequests(t, s, "Clean", "begin", "part", "delete", "delete") // of the parts, and of an object, which there could be
	if err := w.Commit(t.Context(), digest.FromBytes(make([]byte, partSize+1))); mirror.CodeOf(err) != mirror.CodeBlobUploadUnknown {
		t.Errorf("Commit after that: %v", err)
	}
}

// TestCacheIsBounded reads more than fits into the cache.
func TestCacheIsBounded(t *testing.T) {
	s, index := store(t), openIndex(t)
	writer := openNode(t, s, index)
	var all []digest.Digest
	for i := range 4 {
		all = append(all, put(t, writer, append(large(), byte(i))))
	}
	size := int64(len(large()) + 1)
	folder := t.TempDir()
	bounded := func(o *Options) { o.Folder, o.CacheBytes = folder, 2*size }
	o := openNode(t, s, index, bounded)
	for _, d := range all {
		if _, err := read(t, o, d); err != nil {
			t.Fatal(err)
		}
	}
	if got := cachedBytes(t, folder); got != 2*size {
		t.Errorf("the cache has %d bytes, want %d", got, 2*size)
	}
	s.take()
	for _, d := range all[2:] {
		if _, err := read(t, o, d); err != nil {
			t.Fatal(err)
		}
	}
	wantRequests(t, s, "reads of what was read last")
	must(t, o.Close())

	o = openNode(t, s, index, bounded) // the cache stays
	if _, err := read(t, o, all[3]); err != nil {
		t.Fatal(err)
	}
	wantRequests(t, s, "reads after a restart")
	must(t, o.Close())

	files, err := filepath.Glob(filepath.Join(folder, "cache", "*"))
	must(t, err)
	for _, file := range files { // as power loss may leave them
		must(t, os.WriteFile(file, make([]byte, size), 0o600))
	}
	o = openNode(t, s, index, bounded)
	if got, err := read(t, o, all[3]); err != nil || digest.FromBytes(got) != all[3] {
		t.Errorf("read %d bytes instead of a damaged file, %v", len(got), err)
	}
	tiny := openNode(t, s, index, func(o *Options) { o.CacheBytes = 10 })
	if got, err := read(t, tiny, all[0]); err != nil || digest.FromBytes(got) != all[0] {
		t.Errorf("without room in the cache, read %d bytes, %v", len(got), err)
	}
	if got := cachedBytes(t, tiny.options.Folder); got != 0 {
		t.Errorf("the cache of 10 bytes has %d", got)
	}
}

func cachedBytes(t *testing.T, folder string) (total int64) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(folder, "cache"))
	must(t, err)
	for _, file := range files {
		info, err := file.Info()
		must(t, err)
		total += info.Size()
	}
	return total
}

// TestReadersShareRequest opens a blob several times before the store has sent it.
func TestReadersShareRequest(t *testing.T) {
	s, index := store(t), openIndex(t)
	d := put(t, openNode(t, s, index), large())
	o := openNode(t, s, index)
	var readers []mirror.Blob
	for range 5 {
		blob, err := o.Open(t.Context(), d)
		must(t, err)
		readers = append(readers, blob)
	}
	for i, blob := range readers {
		_, err := blob.Seek(int64(i), io.SeekStart)
		must(t, err)
		if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, large()[i:]) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		blob.Close()
	}
	wantRequests(t, s, "five readers", "get")
}

// wantObjects checks the number of objects of blobs in the bucket.
func wantObjects(t *testing.T, s *testStore, want int) {
	t.Helper()
	folder := filepath.Join(started.folder, "data", testBucket, filepath.FromSlash(s.prefix))
	var found []string
	must(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && filepath.Base(path) != markerKey {
			found = append(found, path)
		}
		return err
	}))
	if len(found) != want {
		slices.Sort(found)
		t.Errorf("the bucket has %d objects, want %d: %q", len(found), want, found)
	}
}
