package volume

import (
	"crypto/sha256"
	"hash"
)

// queued buffers, one being hashed and one being filled: what a stream has in memory.
const (
	queued  = 2
	buffers = queued + 2
)

// hasher hashes a stream in blocks on another core, one block behind the goroutine that uses it.
//
// Buffers go round: space gives one out, add takes it in, and it comes out of space again when it is hashed. Until then,
// and until space is called the next time, it may still be read: nobody writes into it before.
type hasher struct {
	hash  hash.Hash
	free  chan []byte
	queue chan []byte   // nil asks for the sum
	sums  chan struct{} // answers that
}

// newHasher starts a goroutine; stop ends it.
func newHasher() *hasher {
	h := &hasher{
		hash:  sha256.New(),
		free:  make(chan []byte, buffers),
		queue: make(chan []byte, queued),
		sums:  make(chan struct{}),
	}
	all := make([]byte, buffers*BlockSize)
	for i := range buffers {
		h.free <- all[i*BlockSize : (i+1)*BlockSize]
	}
	go h.run()
	return h
}

func (h *hasher) run() {
	for b := range h.queue {
		if b == nil {
			h.sums <- struct{}{}
			continue
		}
		h.hash.Write(b)
		h.free <- b[:BlockSize]
	}
}

// space returns a buffer of BlockSize bytes.
func (h *hasher) space() []byte { return <-h.free }

// add takes in the next bytes of the stream: the beginning of what space returned, at least one byte.
func (h *hasher) add(b []byte) { h.queue <- b }

// sum returns the SHA-256 of the stream, and begins a new one.
func (h *hasher) sum() []byte {
	h.queue <- nil
	<-h.sums
	sum := h.hash.Sum(nil)
	h.hash.Reset()
	return sum
}

func (h *hasher) stop() { close(h.queue) }
