package proxy

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// listTTL is how long a list of an upstream is cached, so that a client that reads it page by page causes one
	// request.
	listTTL = 30 * time.Second
	// maxLists is the maximum number of cached lists, and maxListBytes about how much memory they take together. A list
	// that is larger than that is not cached.
	maxLists     = 256
	maxListBytes = 16 << 20
)

// listCache caches lists of upstreams.
type listCache struct {
	mu    sync.Mutex
	lists *lru.Cache[string, cachedList]
	size  int // bytes
}

type cachedList struct {
	list    any
	size    int
	expires time.Time
}

func newListCache() *listCache {
	c := &listCache{}
	lists, err := lru.NewWithEvict(maxLists, func(_ string, evicted cachedList) { c.size -= evicted.size })
	if err != nil { // maxLists is not positive
		panic(err)
	}
	c.lists = lists
	return c
}

func (c *listCache) add(name string, list any) {
	added := cachedList{list, sizeOf(list), time.Now().Add(listTTL)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists.Remove(name)
	if added.size > maxListBytes {
		return
	}
	for c.size+added.size > maxListBytes {
		c.lists.RemoveOldest()
	}
	c.size += added.size
	c.lists.Add(name, added)
}

func (c *listCache) get(name string) (list any, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.lists.Get(name)
	if ok && !time.Now().Before(found.expires) {
		c.lists.Remove(name)
		return nil, false
	}
	return found.list, ok
}

// sizeOf estimates the memory of a list in bytes.
func sizeOf(list any) (size int) {
	const header, word, descriptor, entry = 64, 16, 256, 64 // of a list, a string, a descriptor, a map entry
	size = header
	switch list := list.(type) {
	case []string:
		for _, s := range list {
			size += word + len(s)
		}
	case []v1.Descriptor:
		for _, desc := range list {
			size += descriptor + len(desc.MediaType) + len(desc.Digest) + len(desc.ArtifactType) + len(desc.Data)
			for _, url := range desc.URLs {
				size += word + len(url)
			}
			for key, value := range desc.Annotations {
				size += entry + len(key) + len(value)
			}
		}
	}
	return size
}
