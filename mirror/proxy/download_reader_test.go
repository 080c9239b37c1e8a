package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"airmirror/mirror"
)

// fileIncoming is a [mirror.BlobWriter] for a file, with the methods that readers of a download use.
type fileIncoming struct {
	mirror.BlobWriter
	*os.File
}

func (in fileIncoming) Write(p []byte) (int, error) { return in.File.Write(p) }
func (in fileIncoming) Tail() (mirror.Tail, error)  { return os.Open(in.Name()) }

// memoryIncoming has a tail that is no file.
type memoryIncoming struct {
	mirror.BlobWriter
	tail []byte
}

func (in *memoryIncoming) Write(p []byte) (int, error) {
	in.tail = append(in.tail, p...)
	return len(p), nil
}
func (in *memoryIncoming) Tail() (mirror.Tail, error) { return memoryTail{in}, nil }

type memoryTail struct{ *memoryIncoming }

func (m memoryTail) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.tail).ReadAt(p, off)
}
func (m memoryTail) Close() error { return nil }

// connection records the bytes for a client, and counts those that were not copied from a file.
type connection struct {
	got     bytes.Buffer
	through int64 // bytes that passed through this process
	err     error
}

func (c *connection) Write(p []byte) (int, error) {
	c.through += int64(len(p))
	c.got.Write(p)
	return len(p), c.err
}

func (c *connection) ReadFrom(r io.Reader) (int64, error) {
	if c.err != nil {
		return 0, c.err
	}
	if limited, ok := r.(*io.LimitedReader); ok {
		if _, ok := limited.R.(*os.File); ok {
			return c.got.ReadFrom(r)
		}
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

const arriving = "0123456789"

// downloadTest is a download of a blob that is arriving, and one client of it.
type downloadTest struct {
	*testing.T
	download *download
	reader   *downloadReader
	cancel   context.CancelFunc
	conn     connection
	sent     int64
	err      error
}

func newDownloadTest(t *testing.T, in mirror.BlobWriter) *downloadTest {
	dt := &downloadTest{T: t, download: newDownload(downloadKey{}, mirror.Repo{})}
	dt.download.start(in, int64(len(arriving)))
	ctx, cancel := context.WithCancel(t.Context())
	dt.cancel = cancel
	blob, err := dt.download.reader(ctx, int64(len(arriving)), besides{passthrough: func(off int64) (mirror.Blob, error) {
		rest := bytes.NewReader([]byte("straight__"[off:]))
		return mirror.Blob{ReadSeekCloser: struct {
			io.ReadSeeker
			io.Closer
		}{rest, io.NopCloser(nil)}}, nil
	}}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	dt.reader = blob.ReadSeekCloser.(*downloadReader)
	t.Cleanup(func() { dt.reader.Close() })
	return dt
}

func fileDownload(t *testing.T) *downloadTest {
	file, err := os.Create(filepath.Join(t.TempDir(), "incoming"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return newDownloadTest(t, fileIncoming{File: file})
}

// copy begins to send n bytes from off to the client.
func (t *downloadTest) copy(off, n int64) {
	if _, err := t.reader.Seek(off, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	go func() { t.sent, t.err = t.reader.CopyTo(&t.conn, n) }()
}

func (t *downloadTest) arrive(data string) {
	if _, err := t.download.in.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	t.download.update(func() { t.download.received += int64(len(data)) })
}

// want checks what the client has received when all goroutines wait.
func (t *downloadTest) want(got string) {
	t.Helper()
	synctest.Wait()
	if t.conn.got.String() != got {
		t.Errorf("the client got %q, want %q", t.conn.got.String(), got)
	}
}

func TestReaderCopiesFromTheFile(t *testing.T) {
	synctest.Test(t, func(st *testing.T) {
		t := fileDownload(st)
		t.copy(0, 10)
		t.want("")
		t.arrive("0123")
		t.want("0123")
		t.arrive("456789")
		t.want("012345678") // the last byte waits until all are verified
		t.download.verified()
		t.want(arriving)
		if t.sent != 10 || t.err != nil || t.reader.Err() != nil {
			t.Errorf("CopyTo = %d, %v, and then %v", t.sent, t.err, t.reader.Err())
		}
		if t.conn.through != 0 {
			t.Errorf("%d bytes were not sent from the file", t.conn.through)
		}
	})
}

func TestReaderCopiesAPartFromTheFile(t *testing.T) {
	for _, tt := range []struct {
		off, n int64
		want   string
	}{{0, 0, ""}, {0, 3, "012"}, {2, 5, "23456"}, {9, 1, "9"}, {7, 100, "789"}, {10, 5, ""}} {
		synctest.Test(t, func(st *testing.T) {
			t := fileDownload(st)
			t.arrive("01")
			t.copy(tt.off, tt.n)
			synctest.Wait()
			t.arrive("23456789")
			t.download.verified()
			t.want(tt.want)
			if t.sent != int64(len(tt.want)) || t.err != nil {
				t.Errorf("CopyTo = %d, %v", t.sent, t.err)
			}
			if t.conn.through != 0 || t.reader.Err() != nil {
				t.Errorf("%d bytes were not sent from the file (%v)", t.conn.through, t.reader.Err())
			}
		})
	}
}

func TestReaderCopiesWithoutAFile(t *testing.T) {
	synctest.Test(t, func(st *testing.T) {
		t := newDownloadTest(st, &memoryIncoming{})
		t.arrive("0123")
		t.copy(1, 9)
		t.want("123")
		t.arrive("456789")
		t.want("12345678")
		t.download.verified()
		t.want("123456789")
	})
}

// TestReaderFailsWhileCopying makes the transfer, the store, the client or its connection fail while bytes are copied.
func TestReaderFailsWhileCopying(t *testing.T) {
	broken, full := errors.New("broken"), &storeError{errors.New("full")}
	for _, tt := range []struct {
		name   string
		end    func(t *downloadTest)
		want   string
		err    error // of CopyTo
		reader error // of Err; nil if the client failed
	}{
		{"transfer fails", func(t *downloadTest) { t.download.fail(broken) }, "01234", broken, broken},
		{"bytes are wrong", func(t *downloadTest) { t.arrive("56789"); t.download.fail(broken) }, "012345678", broken, broken},
		{"store fails", func(t *downloadTest) { t.download.fail(full) }, "01234ght__", nil, nil},
		{"store fails after all were verified", func(t *downloadTest) {
			t.arrive("56789")
			t.download.verified()
			t.download.fail(full)
		}, arriving, nil, nil},
		{"request ends", func(t *downloadTest) { t.cancel() }, "01234", context.Canceled, context.Canceled},
		{"client is gone", func(t *downloadTest) { t.conn.err = broken; t.arrive("5") }, "01234", broken, nil},
		{"file was cut", func(t *downloadTest) {
			t.download.update(func() { t.download.received += 2 })
		}, "01234", io.EOF, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(st *testing.T) {
				t := fileDownload(st)
				t.arrive("01234")
				t.copy(0, 10)
				t.want("01234")
				tt.end(t)
				t.want(tt.want)
				if !errors.Is(t.err, tt.err) || !errors.Is(t.reader.Err(), tt.reader) {
					t.Errorf("CopyTo: %v, want %v; Err: %v, want %v", t.err, tt.err, t.reader.Err(), tt.reader)
				}
			})
		})
	}
}
