package cachetest

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

func (t *blobTest) tail(w backend.Writer) mirror.Tail {
	t.Helper()
	tail, err := w.Tail()
	if err != nil {
		t.Fatalf("Tail: %v", err)
	}
	t.Cleanup(func() { _ = tail.Close() })
	return tail
}

func testTail(t *blobTest) {
	data := content(600_000)
	for _, end := range []struct {
		name string
		end  func(backend.Writer) error
	}{
		{"Commit", func(w backend.Writer) error { return w.Commit(t.Context(), digest.FromBytes(data)) }},
		{"CommitAgain", func(w backend.Writer) error { return w.Commit(t.Context(), digest.FromBytes(data)) }},
		{"CommitOfWrongDigest", func(w backend.Writer) error {
			if w.Commit(t.Context(), digest.FromString("wrong")) == nil {
				t.Error("Commit of a wrong digest succeeded")
			}
			return nil
		}},
		{"Abort", backend.Writer.Abort},
		{"Suspend", backend.Writer.Suspend},
	} {
		t.Run(end.name, func(st *testing.T) {
			t := t.in(st)
			w := t.create(digest.SHA256, "")
			early := t.tail(w)
			if n, err := early.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF {
				t.Errorf("ReadAt before the first write = %d, %v; want EOF", n, err)
			}
			for at := 0; at < len(data); at += 100_000 {
				t.write(w, data[at:at+100_000])
				got := make([]byte, 100_000)
				if n, err := early.ReadAt(got, int64(at)); n != len(got) || (err != nil && err != io.EOF) {
					t.Fatalf("ReadAt(%d) = %d, %v", at, n, err)
				}
				if !bytes.Equal(got, data[at:at+100_000]) {
					t.Fatalf("ReadAt(%d) read other bytes than were written", at)
				}
			}
			late := t.tail(w)
			if err := end.end(w); err != nil {
				t.Fatal(err)
			}
			for _, tail := range []mirror.Tail{early, late} {
				t.wantRead(io.NewSectionReader(tail, 0, int64(len(data))), data)
			}
		})
	}
}

// testTailWhileWriting reads with several tails while a writer writes and commits.
func testTailWhileWriting(t *blobTest) {
	data := content(2 << 20)
	w := t.create(digest.SHA256, "")
	var written atomic.Int64
	read := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { read <- struct{}{} }()
			tail, err := w.Tail()
			if err != nil {
				t.Errorf("Tail: %v", err)
				return
			}
			defer tail.Close()
			buf := make([]byte, 64<<10)
			for at := int64(0); at < int64(len(data)); {
				n, err := tail.ReadAt(buf[:min(int64(len(buf)), max(1, written.Load()-at))], at)
				if err != nil && err != io.EOF {
					t.Errorf("ReadAt: %v", err)
					return
				}
				if !bytes.Equal(buf[:n], data[at:at+int64(n)]) {
					t.Errorf("other bytes than were written at %d", at)
					return
				}
				at += int64(n)
			}
		}()
	}
	for at := 0; at < len(data); at += 16 << 10 {
		t.write(w, data[at:at+16<<10])
		written.Store(int64(at + 16<<10))
	}
	t.commit(w, digest.FromBytes(data))
	for range 8 {
		<-read
	}
}
