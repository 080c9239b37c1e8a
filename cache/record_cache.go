package cache

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"airmirror/mirror"
)

const (
	// manifestCacheBytes and tagCacheBytes bound the memory, in bytes as manifestCost and tagCost count them.
	manifestCacheBytes = 16 << 20
	tagCacheBytes      = 4 << 20
	// maxCachedManifest keeps a few huge manifests from driving out the rest.
	maxCachedManifest = 64 << 10
	// cacheEntryOverhead is what an entry costs beside its content: names, map and list.
	cacheEntryOverhead = 512
)

func manifestCost(m mirror.Manifest) int { return len(m.Bytes) + cacheEntryOverhead }
func tagCost(mirror.Tag) int             { return cacheEntryOverhead }

// hot remembers values that were read from the index, within a budget; the least recently used go first.
//
// It never answers with a value that a completed write replaced, and once one reader saw a new value no reader sees the
// old one again. To that end a write takes its keys out before its transaction begins and keeps them out until it has
// ended (see begin); and a reader, which may have read from the index before a write and come here after it, adds only
// if no write has ended since it looked here first (see get and add).
type recordCache[K comparable, V any] struct {
	cost   func(V) int
	budget int

	mu         sync.Mutex
	entries    *simplelru.LRU[K, V]
	used       int       // the sum of the costs
	generation uint64    // the number of writes that have ended
	writing    map[K]int // keys that are being written, and by how many
	writingAny int       // writes under way that do not know their keys yet
}

func newRecordCache[K comparable, V any](budget int, cost func(V) int) *recordCache[K, V] {
	h := &recordCache[K, V]{cost: cost, budget: budget, writing: make(map[K]int)}
	// The budget is what bounds it; a size it must have, and this one is never reached.
	h.entries, _ = simplelru.NewLRU(budget/cacheEntryOverhead+1, func(_ K, v V) { h.used -= cost(v) })
	return h
}

// get returns the value of k. The generation is for a later add.
func (h *recordCache[K, V]) get(k K) (v V, found bool, generation uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writingAny == 0 {
		v, found = h.entries.Get(k)
	}
	return v, found, h.generation
}

// add remembers v, which was read from the index after get returned generation, unless it may be out of date.
func (h *recordCache[K, V]) add(k K, v V, generation uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if generation != h.generation || h.writing[k] > 0 {
		return
	}
	h.entries.Remove(k) // or its cost would be counted twice
	h.entries.Add(k, v)
	h.used += h.cost(v)
	for h.used > h.budget {
		h.entries.RemoveOldest()
	}
}

// begin keeps keys out until the function that it returns is called, which must be after the transaction that writes
// them, however that ended.
func (h *recordCache[K, V]) beginWrite(keys ...K) (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		h.entries.Remove(k)
		h.writing[k]++
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.generation++
		for _, k := range keys {
			if h.writing[k]--; h.writing[k] == 0 {
				delete(h.writing, k)
			}
		}
	}
}

// beginUnknownWrite is begin for a write that finds its keys in its transaction: until it has ended nothing is answered from
// memory. It is told the keys at the end, and drops what was added meanwhile.
func (h *recordCache[K, V]) beginUnknownWrite() (end func(keys []K)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writingAny++
	return func(keys []K) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.generation++
		h.writingAny--
		for _, k := range keys {
			h.entries.Remove(k)
		}
	}
}
