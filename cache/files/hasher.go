package files

import (
	"hash"
	"sync"
	"sync/atomic"
)

const (
	// bufferSize is large enough that handing a buffer to another goroutine costs little beside hashing it.
	bufferSize = 256 << 10
	// queued buffers, one being hashed and one being filled make four: what a blob holds in memory at most.
	queued = 2
	// minRead is the room that a buffer must have left to be read into: reads stay large.
	minRead = 32 << 10
	// maxBuffers is how many buffers are in use at a time. Who needs another one gets a small one: how long a buffer is in
	// use is up to the client that fills it.
	maxBuffers  = 256
	smallBuffer = 8 << 10
)

type buffer struct {
	n    int
	data []byte
}

var (
	buffers      = sync.Pool{New: func() any { return &buffer{data: make([]byte, bufferSize)} }}
	smallBuffers = sync.Pool{New: func() any { return &buffer{data: make([]byte, smallBuffer)} }}
	buffersInUse atomic.Int64
)

func getBuffer() (b *buffer) {
	if buffersInUse.Add(1) <= maxBuffers {
		b = buffers.Get().(*buffer)
	} else {
		buffersInUse.Add(-1)
		b = smallBuffers.Get().(*buffer)
	}
	b.n = 0
	return b
}

func putBuffer(b *buffer) {
	if len(b.data) == smallBuffer {
		smallBuffers.Put(b)
		return
	}
	buffers.Put(b)
	buffersInUse.Add(-1)
}

// hasher hashes a stream one buffer behind the goroutine that writes it to disk, on another core. Buffers change hands
// and are not copied. A stream that fits into one buffer is hashed in place: it starts no goroutine.
type hasher struct {
	hash    hash.Hash
	current *buffer       // may be nil
	queue   chan *buffer  // nil while no goroutine runs
	done    chan struct{} // closed when the goroutine has ended
}

// space returns room to put the next bytes of the stream in; add makes them count.
func (h *hasher) room() []byte {
	if h.current == nil {
		h.current = getBuffer()
	}
	return h.current.data[h.current.n:]
}

// add takes in the first n bytes of what space returned.
func (h *hasher) add(n int) {
	h.current.n += n
	if len(h.current.data)-h.current.n >= minRead {
		return
	}
	if h.queue == nil && len(h.current.data) == smallBuffer {
		h.hash.Write(h.current.data[:h.current.n])
		h.release()
		return
	}
	if h.queue == nil {
		h.queue, h.done = make(chan *buffer, queued), make(chan struct{})
		go hashQueue(h.hash, h.queue, h.done)
	}
	h.queue <- h.current
	h.current = nil
}

// write copies p, which belongs to the caller.
func (h *hasher) write(p []byte) {
	for len(p) > 0 {
		n := copy(h.room(), p)
		h.add(n)
		p = p[n:]
	}
}

// settle returns when everything that was added is hashed, and leaves no goroutine and no buffer behind. The stream may
// go on after it.
func (h *hasher) flush() hash.Hash {
	if h.queue != nil {
		close(h.queue)
		<-h.done
		h.queue, h.done = nil, nil
	}
	if h.current != nil {
		h.hash.Write(h.current.data[:h.current.n])
		h.release()
	}
	return h.hash
}

func hashQueue(hash hash.Hash, queue <-chan *buffer, done chan<- struct{}) {
	defer close(done)
	for b := range queue {
		hash.Write(b.data[:b.n])
		putBuffer(b)
	}
}

// drop lets go of the buffer that is being filled.
func (h *hasher) release() {
	putBuffer(h.current)
	h.current = nil
}
