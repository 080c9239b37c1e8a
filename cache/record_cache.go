package cache

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"airmirror/mirror"
)

const (
	// manifestCacheBytes and tagCacheBytes limit the memory, in bytes as counted by manifestCost and tagCost.
	manifestCacheBytes = 16 << 20
	tagCacheBytes      = 4 << 20
	// maxCachedManifest prevents that a few huge manifests evict all others.
	maxCachedManifest = 64 << 10
	// cacheEntryOverhead is the memory of an entry besides its content: keys, map and list.
	cacheEntryOverhead = 512
)

func manifestCost(m mirror.Manifest) int { return len(m.Bytes) + cacheEntryOverhead }
func tagCost(mirror.Tag) int             { return cacheEntryOverhead }

// recordCache caches values of the index, within a budget. It evicts the least recently used values first.
//
// It never returns a value that a completed write has replaced; and after one reader has seen a new value, no reader
// sees the old one. Therefore a write removes its keys before its transaction begins, and keeps them out until the
// transaction has ended (see beginWrite). A reader may have read from the index before a write and reach the cache
// after it, so it adds a value only if no write has ended since its first look at the cache (see get and add).
type recordCache[K comparable, V any] struct {
	cost   func(V) int
	budget int

	mu         sync.Mutex
	entries    *simplelru.LRU[K, V]
	used       int       // sum of the costs
	generation uint64    // number of writes that have ended
	writing    map[K]int // number of running writes by key
	writingAny int       // running writes that do not know their keys yet
}

func newRecordCache[K comparable, V any](budget int, cost func(V) int) *recordCache[K, V] {
	h := &recordCache[K, V]{cost: cost, budget: budget, writing: make(map[K]int)}
	// The LRU requires a size. It is never reached, because the budget is used up before.
	h.entries, _ = simplelru.NewLRU(budget/cacheEntryOverhead+1, func(_ K, v V) { h.used -= cost(v) })
	return h
}

// get returns the value of k, and the generation to pass to add.
func (h *recordCache[K, V]) get(k K) (v V, found bool, generation uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writingAny == 0 {
		v, found = h.entries.Get(k)
	}
	return v, found, h.generation
}

// add adds v, which was read from the index after get returned generation, unless v may be out of date.
func (h *recordCache[K, V]) add(k K, v V, generation uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if generation != h.generation || h.writing[k] > 0 {
		return
	}
	h.entries.Remove(k) // otherwise its cost would be counted twice
	h.entries.Add(k, v)
	h.used += h.cost(v)
	for h.used > h.budget {
		h.entries.RemoveOldest()
	}
}

// beginWrite keeps keys out of the cache until end is called. Call end after the transaction that writes the keys,
// whether it succeeded or not.
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

// beginUnknownWrite is beginWrite for a write that finds its keys in its transaction. Until end is called with the
// keys, the cache returns nothing; end removes what was added under these keys.
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
