package proxy

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// brief remembers values for a while, and not more than a number of them. What is asked for does not stay longer for it.
// (golang-lru's own expirable cache has a goroutine that cannot be ended.)
type brief[V any] struct {
	values *lru.Cache[string, dated[V]]
	stay   time.Duration
}

type dated[V any] struct {
	value V
	until time.Time
}

func newBrief[V any](most int, stay time.Duration) *brief[V] {
	values, err := lru.New[string, dated[V]](most)
	if err != nil { // most is not positive
		panic(err)
	}
	return &brief[V]{values, stay}
}

func (b *brief[V]) Add(key string, value V) {
	b.values.Add(key, dated[V]{value, time.Now().Add(b.stay)})
}

func (b *brief[V]) Remove(key string) { b.values.Remove(key) }

func (b *brief[V]) Get(key string) (value V, ok bool) {
	found, ok := b.values.Get(key)
	if !ok || !time.Now().Before(found.until) {
		return value, false
	}
	return found.value, true
}
