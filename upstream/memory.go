package upstream

import (
	"io"

	"airmirror/mirror"
)

const (
	// maxBuffered is how many bytes of responses may be in memory while they are received. One upstream gets a share, see
	// [mirror.Shares]: an upstream that sends many large manifests slowly does not use up the memory.
	maxBuffered = 128 << 20
	// freeBuffer is how many bytes of each response do not count. Most manifests are smaller.
	freeBuffer = 64 << 10
)

// bufferedReader counts the bytes of a response that is read into memory.
type bufferedReader struct {
	io.Reader
	host     string
	shares   *mirror.Shares[string]
	received int64
	taken    int64 // from shares
}

// Read implements [io.Reader]. Its error has the code [mirror.CodeUnavailable] if the host has no memory left.
func (b *bufferedReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.received += int64(n)
	if more := b.received - freeBuffer - b.taken; more > 0 {
		if !b.shares.Take(b.host, more) {
			return n, mirror.Errorf(mirror.CodeUnavailable, "too many large manifests and lists of %s are received at the same time: try again later", b.host)
		}
		b.taken += more
	}
	return n, err
}

// release returns the bytes to the shares.
func (b *bufferedReader) release() { b.shares.Give(b.host, b.taken) }
