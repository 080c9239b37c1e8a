package objects

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// large is content that is in an object.
func large() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 64<<10) }

// read reads a blob whole.
func read(t *testing.T, o *Objects, d digest.Digest) ([]byte, error) {
	t.Helper()
	blob, err := o.Open(t.Context(), d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(blob)
}

// cut answers a GET with the first bytes of the object and breaks the connection.
func cut(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Length", "1048576")
	w.Header().Set("ETag", `"tag"`)
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(large()[:n])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// TestReadContinues breaks the connection in the middle of a read.
func TestReadContinues(t *testing.T) {
	s, index := store(t), openIndex(t)
	d := put(t, openNode(t, s, index), large())
	o := openNode(t, s, index)
	var ranges atomic.Value
	var gets atomic.Int64
	s.setIntercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		if gets.Add(1) == 1 {
			cut(w, 300_000)
		}
		ranges.Store(r.Header.Get("Range"))
		return false
	})
	if got, err := read(t, o, d); err != nil || !bytes.Equal(got, large()) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if got, _ := ranges.Load().(string); !strings.HasPrefix(got, "bytes=") || got == "bytes=0-" {
		t.Errorf("the read went on with range %q", got)
	}
}

// TestServerErrors lets each request fail once.
func TestServerErrors(t *testing.T) {
	s, index := store(t), openIndex(t)
	o, other := openNode(t, s, index), openNode(t, s, index)
	var requests atomic.Int64
	s.setIntercept(func(w http.ResponseWriter, r *http.Request) bool {
		if requests.Add(1)%2 == 0 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	d := put(t, o, large())
	if got, err := read(t, other, d); err != nil || !bytes.Equal(got, large()) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// TestUnavailable tests what is returned while the store answers nothing but errors, and while it answers nothing at all.
func TestUnavailable(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
	}{
		{"errors", func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}},
		{"silence", func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return true
		}},
		{"broken connections", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, index := store(t), openIndex(t)
			d := put(t, openNode(t, s, index), large())
			cached := openNode(t, s, index)
			if _, err := read(t, cached, d); err != nil {
				t.Fatal(err)
			}
			o := openNode(t, s, index)
			// The time limit of an answer is set after the node has started, which needs answers.
			silent := s.config()
			silent.Timeout = 50 * time.Millisecond
			o.setBucket(t, silent)
			s.setIntercept(test.answer)
			_, err := read(t, o, d)
			wantUnavailable(t, "Open", err)
			w, err := o.Create(t.Context(), digest.SHA256, "upload")
			must(t, err)
			_, err = w.Write(large())
			must(t, err)
			wantUnavailable(t, "Commit", w.Commit(t.Context(), digest.FromBytes(large())))
			small := put(t, o, []byte("in the index"))
			if got, err := read(t, o, small); string(got) != "in the index" || err != nil {
				t.Errorf("content of the index reads as %q, %v", got, err)
			}
			if got, err := read(t, cached, d); err != nil || !bytes.Equal(got, large()) {
				t.Errorf("content of the cache reads as %d bytes, %v", len(got), err)
			}
			wantUnavailable(t, "Ping", o.Ping(t.Context()))

			s.setIntercept(nil)
			if got, err := read(t, openNode(t, s, index), d); err != nil || !bytes.Equal(got, large()) {
				t.Errorf("after that, read %d bytes, %v", len(got), err)
			}
		})
	}
}

func wantUnavailable(t *testing.T, doing string, err error) {
	t.Helper()
	if mirror.CodeOf(err) != mirror.CodeUnavailable {
		t.Errorf("%s: %v, want an error with code %s", doing, err, mirror.CodeUnavailable)
	}
}

// TestDamagedObject replaces the bytes of an object. A reader gets an error before the last byte, and nothing is cached.
func TestDamagedObject(t *testing.T) {
	s, index := store(t), openIndex(t)
	d := put(t, openNode(t, s, index), large())
	damaged := large()
	damaged[len(damaged)/2]++
	row, err := openNode(t, s, index).object(t.Context(), d)
	must(t, err)
	writer := openNode(t, s, index)
	must(t, writer.put(t.Context(), row.Key, damaged))

	o := openNode(t, s, index)
	for range 2 {
		got, err := read(t, o, d)
		if !errors.Is(err, errDamaged) || len(got) >= len(damaged) {
			t.Errorf("read %d bytes of damaged content, %v", len(got), err)
		}
	}
	reason, err := o.Check(t.Context(), d, func(context.Context, int) error { return nil })
	if reason == "" || err != nil {
		t.Errorf("Check = %q, %v", reason, err)
	}
}

// TestLastByteWaits reads what has arrived and is not verified yet.
func TestLastByteWaits(t *testing.T) {
	f := &fill{size: 10, written: 10}
	f.changed = sync.NewCond(&f.mu)
	if end, err := f.available(t.Context(), 0); end != 9 || err != nil {
		t.Errorf("bytes before %d may be read, %v; want 9", end, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.available(ctx, 9); !errors.Is(err, context.Canceled) {
		t.Errorf("the last byte: %v, want that it waits for the end of its context", err)
	}
	f.err = io.EOF // verified
	if end, err := f.available(t.Context(), 9); end != 10 || err != nil {
		t.Errorf("after that, bytes before %d may be read, %v; want 10", end, err)
	}
}

// TestLostObject deletes an object behind the back of the index.
func TestLostObject(t *testing.T) {
	s, index := store(t), openIndex(t)
	o := openNode(t, s, index)
	d := put(t, o, large())
	row, err := o.object(t.Context(), d)
	must(t, err)
	must(t, o.bucket.Delete(t.Context(), row.Key))
	_, err = read(t, openNode(t, s, index), d)
	if mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		t.Errorf("Open of a lost object: %v", err)
	}
	if moved, err := o.Quarantine(t.Context(), d, func(mirror.Blob) (string, error) { return "", nil }); moved || err != nil {
		t.Errorf("Quarantine = %t, %v", moved, err)
	}
	if _, err := o.Stat(t.Context(), d); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		t.Errorf("Stat after the repair: %v", err)
	}
}
