package proxy

import (
	"errors"
	"io"

	"airmirror/mirror"
)

// maxUnsized is the maximum size of a blob whose size neither its upstream nor a manifest states.
const maxUnsized = 64 << 30

// receive copies body into the store until it ends. It fails at once if body is longer than the announced size, or
// unreasonably long without one, and at the end if body is shorter. room returns an error if there is no room for more.
func (d *download) receive(body io.Reader, room func(need int64) error) error {
	in := &arrivals{download: d, body: body, room: room}
	_, err := io.Copy(d.in, in)
	if !errors.Is(err, in.err) {
		return &storeError{err}
	}
	in.announce()
	if err == nil && d.size >= 0 && d.received < d.size {
		return mirror.Errorf(mirror.CodeUnavailable, "the upstream ended after %d of %d bytes", d.received, d.size)
	}
	return err
}

// arrivals is the body of a download. The store reads it into the buffers that it hashes and writes. When the store
// calls Read again, it has written what the last call returned, and subscribers can read that.
type arrivals struct {
	download *download
	body     io.Reader
	room     func(need int64) error
	checked  int64 // offset up to which there was room
	last     int64 // bytes that the last call returned, until they are announced
	err      error // that Read returned, except [io.EOF]
}

// Read implements [io.Reader].
func (a *arrivals) Read(p []byte) (int, error) {
	a.announce()
	n, err := a.body.Read(p)
	if refused := a.check(int64(n)); refused != nil {
		a.err = refused
		return 0, refused
	}
	a.last = int64(n)
	if err != nil && err != io.EOF {
		a.err = mirror.Errorf(mirror.CodeUnavailable, "the upstream broke off after %d bytes: %w", a.download.received+a.last, err)
		return n, a.err
	}
	return n, err
}

// announce lets subscribers read what is written.
func (a *arrivals) announce() {
	if a.last > 0 {
		a.download.update(func() { a.download.received += a.last })
		a.last = 0
	}
}

// check returns an error if the download must not receive n more bytes.
func (a *arrivals) check(n int64) error {
	size, received := a.download.size, a.download.received
	switch {
	case size >= 0 && received+n > size:
		return mirror.Errorf(mirror.CodeUnavailable, "the upstream sends more than the %d bytes it announced", size)
	case size < 0 && received+n > maxUnsized:
		return mirror.Errorf(mirror.CodeUnavailable, "the upstream does not state the size of the blob, and sends more than %d GiB", maxUnsized>>30)
	case received-a.checked >= capacityInterval:
		if err := a.room(n); err != nil {
			return &storeError{err}
		}
		a.checked = received
	}
	return nil
}
