package proxy

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"airmirror/mirror"
)

// ttlCache is an LRU cache whose entries expire. Unlike the expirable cache of golang-lru it has no goroutine.
type ttlCache[V any] struct {
	entries *lru.Cache[string, ttlEntry[V]]
	ttl     time.Duration
}

type ttlEntry[V any] struct {
	value   V
	expires time.Time
}

func newTTLCache[V any](size int, ttl time.Duration) *ttlCache[V] {
	entries, err := lru.New[string, ttlEntry[V]](size)
	if err != nil { // size is not positive
		panic(err)
	}
	return &ttlCache[V]{entries, ttl}
}

func (c *ttlCache[V]) Add(key string, value V) {
	c.entries.Add(key, ttlEntry[V]{value, time.Now().Add(c.ttl)})
}

func (c *ttlCache[V]) Remove(key string) { c.entries.Remove(key) }

func (c *ttlCache[V]) Get(key string) (value V, ok bool) {
	entry, ok := c.entries.Get(key)
	if !ok || !time.Now().Before(entry.expires) {
		return value, false
	}
	return entry.value, true
}

// maxAbsent is how many answers that content does not exist are cached.
const maxAbsent = 4096

// absentCache remembers what upstreams do not have, with their errors. The key is a reference or [blobKey].
type absentCache struct{ *ttlCache[error] }

// remember adds err if an upstream says with it that it does not have the content.
func (c absentCache) remember(key string, err error) {
	if mirror.Definitive(err) {
		c.Add(key, err)
	}
}

func (c absentCache) purge() { c.entries.Purge() }

// blobKey is the key of a blob in an absentCache. A manifest of the same digest may exist.
func blobKey(ref mirror.Ref) string { return "blob " + ref.String() }
