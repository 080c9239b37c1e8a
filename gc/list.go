package gc

import (
	"cmp"
	"encoding/hex"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// list is a growing list that does not move its items: for hundreds of thousands of items, the copies of a slice
// would take as much memory as the items themselves.
type list[T any] struct {
	chunks [][]T
	n      int
}

const (
	chunkBits = 13
	chunkSize = 1 << chunkBits
)

func (l *list[T]) add(v T) {
	if l.n%chunkSize == 0 {
		l.chunks = append(l.chunks, make([]T, 0, chunkSize))
	}
	last := &l.chunks[len(l.chunks)-1]
	*last = append(*last, v)
	l.n++
}

func (l *list[T]) at(i int32) *T { return &l.chunks[i>>chunkBits][i&(chunkSize-1)] }

// all yields the items by index.
func (l *list[T]) all() iter.Seq2[int32, *T] {
	return func(yield func(int32, *T) bool) {
		for i := range int32(l.n) {
			if !yield(i, l.at(i)) {
				return
			}
		}
	}
}

// values yields copies of the items.
func (l *list[T]) values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range l.all() {
			if !yield(*v) {
				return
			}
		}
	}
}

// edge leads from one index to another.
type edge struct{ from, to int32 }

// edges are the edges from the indexes 0 to n-1, grouped by where they begin.
type edges struct {
	starts []int32 // n+1 offsets in to
	to     []int32
}

// newEdges groups the edges that pairs yields. It iterates over pairs twice.
func newEdges(n int, pairs iter.Seq[edge]) edges {
	e := edges{starts: make([]int32, n+1)}
	for pair := range pairs {
		e.starts[pair.from+1]++
	}
	for i := range n {
		e.starts[i+1] += e.starts[i]
	}
	e.to = make([]int32, e.starts[n])
	next := slices.Clone(e.starts)
	for pair := range pairs {
		e.to[next[pair.from]] = pair.to
		next[pair.from]++
	}
	return e
}

// of returns where the edges from an index lead.
func (e *edges) of(from int32) []int32 { return e.to[e.starts[from]:e.starts[from+1]] }

// reversed yields the edges in the opposite direction.
func reversed(pairs iter.Seq[edge]) iter.Seq[edge] {
	return func(yield func(edge) bool) {
		for pair := range pairs {
			if !yield(edge{pair.to, pair.from}) {
				return
			}
		}
	}
}

// packed is a digest in less than half the memory: its bytes, whose number tells the algorithm.
type packed string

func pack(d digest.Digest) packed {
	var raw [64]byte
	_, encoded, _ := strings.Cut(string(d), ":")
	n, err := hex.Decode(raw[:], []byte(encoded))
	if err != nil {
		return "" // no store has a digest that is not hexadecimal
	}
	return packed(raw[:n])
}

func (p packed) digest() digest.Digest {
	if len(p) == digest.SHA512.Size() {
		return digest.NewDigestFromBytes(digest.SHA512, []byte(p))
	}
	return digest.NewDigestFromBytes(digest.SHA256, []byte(p))
}

// before reports whether p sorts before q in the order of digests.
func (p packed) before(q packed) bool {
	if len(p) != len(q) {
		return len(p) < len(q)
	}
	return p < q
}

// order sorts indexes by a key; those with the same key by themselves.
func order(indexes []int32, key func(int32) int64) {
	slices.SortFunc(indexes, func(a, b int32) int {
		return cmp.Or(cmp.Compare(key(a), key(b)), cmp.Compare(a, b))
	})
}
