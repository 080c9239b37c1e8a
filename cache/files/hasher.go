package files

import (
	"hash"
	"sync"
	"sync/atomic"
)

const (
	// bufferSize is large enough that passing a buffer to another goroutine costs little compared to hashing it.
	bufferSize = 256 << 10
	// queued buffers, one being hashed and one being filled: a blob uses at most four buffers.
	queued = 2
	// minRead is the free space that a buffer must have to be read into, so that reads stay large.
	minRead = 32 << 10
	// maxBuffers is the number of large buffers in use at a time. Further writers get small ones, because a slow client
	// can occupy its buffer for any length of time.
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

// hasher hashes a stream on another core, one buffer behind the goroutine that writes it to disk. Buffers are passed
// on, not copied. A stream that fits into one buffer is hashed without a goroutine.
type hasher struct {
	hash    hash.Hash
	current *buffer       // being filled; may be nil
	queue   chan *buffer  // nil while no goroutine runs
	done    chan struct{} // closed when the goroutine has ended
}

// room returns space for the next bytes of the stream; add then appends them.
func (h *hasher) room() []byte {
	if h.current == nil {
		h.current = getBuffer()
	}
	return h.current.data[h.current.n:]
}

// add appends the first n bytes of what room returned.
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

// write appends a copy of p.
func (h *hasher) write(p []byte) {
	for len(p) > 0 {
		n := copy(h.room(), p)
		h.add(n)
		p = p[n:]
	}
}

// flush waits until everything is hashed, and releases the goroutine and the buffer. More may be added after it.
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

// hashQueue hashes buffers until queue is closed.
func hashQueue(hash hash.Hash, queue <-chan *buffer, done chan<- struct{}) {
	defer close(done)
	for b := range queue {
		hash.Write(b.data[:b.n])
		putBuffer(b)
	}
}

// release returns the current buffer to its pool.
func (h *hasher) release() {
	putBuffer(h.current)
	h.current = nil
}
