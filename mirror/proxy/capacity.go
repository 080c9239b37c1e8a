package proxy

import "io"

// capacityInterval is the number of bytes after which a transfer checks again whether there is room for more.
const capacityInterval = 64 << 20

// room returns nil if need more bytes may be stored, and otherwise why not.
func (w *writes) room(need int64) error {
	if err := w.allowed(); err != nil {
		return err
	}
	return w.capacity(need)
}

// Writable returns nil if content can be stored now. Otherwise it returns a [mirror.CodeUnavailable] if the mirror is
// read-only, or the error of [Options.CheckCapacity] if the disk is full.
func (p *Proxy) Writable() error { return p.writes.room(0) }

// capacityReader fails when there is no room for what it reads.
type capacityReader struct {
	io.Reader
	room func(need int64) error
	left int64 // bytes until the next check
}

// Read implements [io.Reader].
func (r *capacityReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		if err := r.room(int64(len(p))); err != nil {
			return 0, err
		}
		r.left = capacityInterval
	}
	n, err := r.Reader.Read(p)
	r.left -= int64(n)
	return n, err
}
