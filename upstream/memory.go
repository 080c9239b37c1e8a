package upstream

import (
	"io"

	"airmirror/mirror"
)

const (
	// maxBuffered is how many bytes of answers may be in memory while they arrive. One upstream has what it leaves for
	// others, see [mirror.Shares]: who sends many large manifests slowly does not take the memory.
	maxBuffered = 128 << 20
	// freeBuffer is how many bytes of each answer do not count. Most manifests are smaller.
	freeBuffer = 64 << 10
)

// arriving counts the bytes of an answer that is being read into memory.
type bufferedReader struct {
	io.Reader
	host     string
	shares   *mirror.Shares[string]
	received int64
	taken    int64
}

// Read implements [io.Reader]. Its error is a [mirror.CodeUnavailable] if there is no room.
func (a *bufferedReader) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.received += int64(n)
	if more := a.received - freeBuffer - a.taken; more > 0 {
		if !a.shares.Take(a.host, more) {
			return n, mirror.Errorf(mirror.CodeUnavailable, "too many large manifests and lists of %s arrive at the same time: ask again later", a.host)
		}
		a.taken += more
	}
	return n, err
}

// end gives back what was taken.
func (a *bufferedReader) release() { a.shares.Give(a.host, a.taken) }
