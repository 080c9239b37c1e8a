package proxy

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"airmirror/mirror"
)

// readingIncoming is a [mirror.BlobWriter] that reads its content itself, as that of the store does.
type readingIncoming struct {
	memoryIncoming
	download *download
	full     error // of every write
	wrong    bool  // other bytes were announced than those that are written
}

func (in *readingIncoming) ReadFrom(r io.Reader) (total int64, err error) {
	buf := make([]byte, 4)
	for {
		n, err := r.Read(buf)
		in.wrong = in.wrong || in.download.received != total
		if in.full != nil {
			return total, in.full
		}
		_, _ = in.Write(buf[:n])
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// TestReceive checks what a download makes of a body, for a store that reads the body and for one that is written to.
func TestReceive(t *testing.T) {
	full := errors.New("the disk is full")
	body := func() io.Reader { return strings.NewReader(arriving) }
	for _, tt := range []struct {
		name     string
		body     func() io.Reader
		size     int64
		full     error
		want     string // in the error; "" for none
		received int64
	}{
		{"complete", body, 10, nil, "", 10},
		{"end with the last bytes", func() io.Reader { return iotest.DataErrReader(body()) }, 10, nil, "", 10},
		{"size not stated", body, -1, nil, "", 10},
		{"empty", func() io.Reader { return strings.NewReader("") }, 0, nil, "", 0},
		{"too short", body, 11, nil, "ended after 10 of 11 bytes", 10},
		{"too long", func() io.Reader { return iotest.OneByteReader(body()) }, 9, nil, "more than the 9 bytes", 9},
		{"broken off", func() io.Reader { return io.MultiReader(body(), iotest.ErrReader(io.ErrUnexpectedEOF)) }, 20, nil, "broke off after 10 bytes", 10},
		{"not written", body, 10, full, "the disk is full", 0},
	} {
		for _, reads := range []bool{true, false} {
			if tt.full != nil && !reads {
				continue
			}
			d := newDownload(downloadKey{}, mirror.Repo{})
			in := &readingIncoming{download: d, full: tt.full}
			if d.start(in, tt.size); !reads {
				d.in = &in.memoryIncoming
			}
			err := d.receive(tt.body(), func(int64) error { return nil })
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || isStoreError(err) != (tt.full != nil) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
			}
			if d.received != tt.received || int64(len(in.tail)) != tt.received || in.wrong {
				t.Errorf("%s: %d bytes were announced and %d written, want %d (announced before they were written: %t)",
					tt.name, d.received, len(in.tail), tt.received, in.wrong)
			}
		}
	}
}
