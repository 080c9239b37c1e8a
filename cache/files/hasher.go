package files

import (
	"hash"
	"sync"
)

const (
	// bufferSize is large enough that handing a buffer to another goroutine costs little beside hashing it.
	bufferSize = 256 << 10
	// queued buffers, one being hashed and one being filled make four: what a blob holds in memory at most.
	queued = 2
	// minRead is the room that a buffer must have left to be read into: reads stay large.
	minRead = 32 << 10
)

type buffer struct {
	n    int
	data [bufferSize]byte
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// hasher hashes a stream one buffer behind the goroutine that writes it to disk, on another core. Buffers change hands
// and are not copied. A stream that fits into one buffer is hashed in place: it starts no goroutine.
type hasher struct {
	hash  hash.Hash
	fill  *buffer       // may be nil
	queue chan *buffer  // nil while no goroutine runs
	done  chan struct{} // closed when the goroutine has ended
}

// space returns room to put the next bytes of the stream in; add makes them count.
func (h *hasher) space() []byte {
	if h.fill == nil {
		h.fill = buffers.Get().(*buffer)
		h.fill.n = 0
	}
	return h.fill.data[h.fill.n:]
}

// add takes in the first n bytes of what space returned.
func (h *hasher) add(n int) {
	h.fill.n += n
	if bufferSize-h.fill.n >= minRead {
		return
	}
	if h.queue == nil {
		h.queue, h.done = make(chan *buffer, queued), make(chan struct{})
		go run(h.hash, h.queue, h.done)
	}
	h.queue <- h.fill
	h.fill = nil
}

// write copies p, which belongs to the caller.
func (h *hasher) write(p []byte) {
	for len(p) > 0 {
		n := copy(h.space(), p)
		h.add(n)
		p = p[n:]
	}
}

// settle returns when everything that was added is hashed, and leaves no goroutine and no buffer behind. The stream may
// go on after it.
func (h *hasher) settle() hash.Hash {
	if h.queue != nil {
		close(h.queue)
		<-h.done
		h.queue, h.done = nil, nil
	}
	if h.fill != nil {
		h.hash.Write(h.fill.data[:h.fill.n])
		buffers.Put(h.fill)
		h.fill = nil
	}
	return h.hash
}

func run(hash hash.Hash, queue <-chan *buffer, done chan<- struct{}) {
	defer close(done)
	for b := range queue {
		hash.Write(b.data[:b.n])
		buffers.Put(b)
	}
}
