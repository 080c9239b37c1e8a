package upstream

import (
	"io"

	"airmirror/mirror"
)

const (
	// maxArriving is how many bytes of answers may be in memory while they arrive. One upstream has what it leaves for
	// others, see [mirror.Shares]: who sends many large manifests slowly does not take the memory.
	maxArriving = 128 << 20
	// freeArriving is how many bytes of each answer do not count. Most manifests are smaller.
	freeArriving = 64 << 10
)

// arriving counts the bytes of an answer that is being read into memory.
type arriving struct {
	io.Reader
	host   string
	shares *mirror.Shares[string]
	read   int64
	taken  int64
}

// Read implements [io.Reader]. Its error is a [mirror.CodeUnavailable] if there is no room.
func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	a.read += int64(n)
	if more := a.read - freeArriving - a.taken; more > 0 {
		if !a.shares.Take(a.host, more) {
			return n, mirror.Errorf(mirror.CodeUnavailable, "too many large manifests and lists of %s arrive at the same time: ask again later", a.host)
		}
		a.taken += more
	}
	return n, err
}

// end gives back what was taken.
func (a *arriving) end() { a.shares.Give(a.host, a.taken) }
