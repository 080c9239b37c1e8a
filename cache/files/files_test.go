package files

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/cachetest"
)

func TestBlobs(t *testing.T) {
	cachetest.Blobs(t, func(t *testing.T, dir string) backend.Blobs { return open(t, dir) })
}

func open(t testing.TB, root string) *Files {
	t.Helper()
	f, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// create returns a writer of a SHA-256 blob that begins with data.
func create(t testing.TB, f *Files, label, data string) *writer {
	t.Helper()
	w, err := f.Create(t.Context(), digest.SHA256, label)
	if err == nil {
		_, err = w.Write([]byte(data))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Abort() })
	return w.(*writer)
}

// wantIncoming checks the names of the files in incoming, besides the file of states.
func wantIncoming(t testing.TB, f *Files, want ...string) {
	t.Helper()
	var got []string
	entries, err := os.ReadDir(f.incoming(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != statesFile {
			got = append(got, entry.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("incoming has %q, want %q", got, want)
	}
}

// wantStates checks which blobs have a saved state.
func wantStates(t testing.TB, f *Files, want ...string) {
	t.Helper()
	got, want := slices.Sorted(slices.Values(f.states.ids())), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("states of %q, want %q", got, want)
	}
}

func TestLayout(t *testing.T) {
	f := open(t, t.TempDir())
	data := "data"
	for _, d := range []digest.Digest{digest.FromString(data), digest.SHA512.FromString(data)} {
		if err := create(t, f, "upload", data).Commit(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(f.root, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
		if got, err := os.ReadFile(path); err != nil || string(got) != data {
			t.Errorf("%s is %q, %v", path, got, err)
		}
	}
	wantIncoming(t, f)
}

// TestBlobIsFile checks that net/http can use sendfile.
func TestBlobIsFile(t *testing.T) {
	f := open(t, t.TempDir())
	w := create(t, f, "", "data")
	tail, err := w.Tail()
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Close()
	if _, ok := tail.(*os.File); !ok {
		t.Errorf("Tail is a %T", tail)
	}
	if err := w.Commit(t.Context(), digest.FromString("data")); err != nil {
		t.Fatal(err)
	}
	blob, err := f.Open(t.Context(), digest.FromString("data"))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if _, ok := blob.ReadSeekCloser.(*os.File); !ok {
		t.Errorf("Blob is a %T", blob.ReadSeekCloser)
	}
}

func TestCommitAndAbortLeaveIncomingEmpty(t *testing.T) {
	right, wrong := digest.FromString("data"), digest.FromString("wrong")
	for _, test := range []struct {
		name string
		end  func(t *testing.T, w *writer) error
	}{
		{"Commit", func(t *testing.T, w *writer) error { return w.Commit(t.Context(), right) }},
		{"Commit of wrong", func(t *testing.T, w *writer) error { _ = w.Commit(t.Context(), wrong); return nil }},
		{"Abort", func(_ *testing.T, w *writer) error { return w.Abort() }},
		{"Suspend, Resume, Commit", func(t *testing.T, w *writer) error {
			return errors.Join(w.Suspend(), resume(t, w.files, w.id).Commit(t.Context(), right))
		}},
		{"Suspend, Resume, Abort", func(t *testing.T, w *writer) error {
			return errors.Join(w.Suspend(), resume(t, w.files, w.id).Abort())
		}},
	} {
		for _, label := range []string{"", "upload"} {
			t.Run(test.name, func(t *testing.T) {
				f := open(t, t.TempDir())
				for range 2 { // the second time, the blob is stored already
					if err := test.end(t, create(t, f, label, "data")); err != nil {
						t.Error(err)
					}
					wantIncoming(t, f)
				}
			})
		}
	}
}

func TestConcurrentCommitsLeaveOneFile(t *testing.T) {
	f := open(t, t.TempDir())
	d := digest.FromString("data")
	var wg sync.WaitGroup
	for range 32 {
		w := create(t, f, "upload", "data")
		wg.Go(func() {
			if err := w.Commit(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantIncoming(t, f)
	path, _ := f.path(d)
	if files, err := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("the folder of the blob contains %v, %v", files, err)
	}
	if len(f.commits.busy) != 0 {
		t.Error("a commit did not end")
	}
}

// TestDamagedBlobIsReplaced commits a blob whose stored file has the wrong size.
func TestDamagedBlobIsReplaced(t *testing.T) {
	f := open(t, t.TempDir())
	d := digest.FromString("data")
	path, _ := f.path(d)
	if err := f.prepareFolder(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("dat"), fileMode); err != nil {
		t.Fatal(err)
	}
	if err := create(t, f, "", "data").Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "data" {
		t.Errorf("the blob is %q", got)
	}
}

func TestAllSkipsOtherFiles(t *testing.T) {
	f := open(t, t.TempDir())
	path, _ := f.path(digest.FromString("data"))
	for _, name := range []string{
		path + "x", filepath.Join(filepath.Dir(path), "README"),
		filepath.Join(f.algorithmFolder(digest.SHA256), "00", filepath.Base(path)), // in the wrong folder
	} {
		if err := errors.Join(f.prepareFolder(filepath.Dir(name)), os.WriteFile(name, nil, fileMode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(path, folderMode); err != nil {
		t.Fatal(err)
	}
	for e, err := range f.All(t.Context()) {
		t.Errorf("All lists %v, %v", e, err)
	}
}

// TestLargeBlobUsesManyBuffers writes a stream that uses writeback and each buffer several times.
func TestLargeBlobUsesManyBuffers(t *testing.T) {
	f := open(t, t.TempDir())
	w := create(t, f, "", "")
	data := bytes.Repeat([]byte("0123456789abcdef"), (2*writebackStep+bufferSize/2)/16)
	if _, err := w.ReadFrom(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if w.writeback.from == 0 {
		t.Error("writeback was never started")
	}
	if err := w.Commit(t.Context(), digest.FromBytes(data)); err != nil {
		t.Error(err)
	}
}

func TestClosedWriterLeavesNoGoroutine(t *testing.T) {
	for _, end := range []func(*writer) error{(*writer).Abort, (*writer).Suspend} {
		w := create(t, open(t, t.TempDir()), "", "")
		if _, err := w.Write(make([]byte, bufferSize+1)); err != nil {
			t.Fatal(err)
		}
		done := w.hasher.done
		if err := end(w); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
		default:
			t.Error("the hashing goroutine is still running")
		}
		if w.hasher.current != nil {
			t.Error("a closed writer has a buffer")
		}
	}
}

// TestSmallBlobStartsNoGoroutine keeps small blobs cheap.
func TestSmallBlobStartsNoGoroutine(t *testing.T) {
	w := create(t, open(t, t.TempDir()), "", "data")
	if _, err := w.ReadFrom(bytes.NewReader(make([]byte, 100_000))); err != nil {
		t.Fatal(err)
	}
	if w.hasher.queue != nil {
		t.Error("a small blob started a goroutine")
	}
}

func TestOpenFailsIfRootIsFile(t *testing.T) {
	root := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(root, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(root); err == nil {
		t.Error("Open of a file succeeded")
	}
	if info, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) || info.IsDir() {
		t.Error("Open replaced the file")
	}
}

// TestBuffersAreBounded writes many blobs at a time. At most maxBuffers of them have a large buffer, and all are
// hashed correctly.
func TestBuffersAreBounded(t *testing.T) {
	files := open(t, t.TempDir())
	before := buffersInUse.Load()
	writers := make([]*writer, maxBuffers+20)
	data := bytes.Repeat([]byte("slow "), 10_000)
	for i := range writers {
		writers[i] = create(t, files, "", "")
		if _, err := writers[i].Write(data[:20_001]); err != nil {
			t.Fatal(err)
		}
	}
	if n := buffersInUse.Load(); n > maxBuffers {
		t.Errorf("%d large buffers are in use", n)
	}
	for i, w := range writers {
		if _, err := w.ReadFrom(bytes.NewReader(data[20_001:])); err != nil {
			t.Fatal(err)
		}
		if d, err := w.Digest(); err != nil || d != digest.FromBytes(data) {
			t.Errorf("writer %d: %s, %v", i, d, err)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if n := buffersInUse.Load(); n != before {
		t.Errorf("%d buffers are in use afterwards, %d before", n, before)
	}
}

func TestSpace(t *testing.T) {
	f, err := Open(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	total, free, err := f.Space()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || free < 0 || total < 1<<20 || free > total {
		t.Errorf("%d bytes, %d of them free, %v", total, free, err)
	}
}
