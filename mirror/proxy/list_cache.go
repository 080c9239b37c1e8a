package proxy

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// listsFresh is how long lists of upstreams are remembered, so that a client that reads one page by page asks for it
	// once.
	listsFresh = 30 * time.Second
	// maxLists and maxListBytes are how many of them there are at most, and how much memory all of them take, more or
	// less. A list that is larger alone is not remembered.
	maxLists     = 256
	maxListBytes = 16 << 20
)

// lists remembers what upstreams listed, for a while.
type lists struct {
	mu    sync.Mutex
	lists *lru.Cache[string, sizedList]
	size  int
}

type sizedList struct {
	list  any
	size  int
	until time.Time
}

func newLists() *lists {
	l := &lists{}
	kept, err := lru.NewWithEvict(maxLists, func(_ string, gone sizedList) { l.size -= gone.size })
	if err != nil { // maxLists is not positive
		panic(err)
	}
	l.lists = kept
	return l
}

func (l *lists) add(what string, list any) {
	added := sizedList{list, sizeOf(list), time.Now().Add(listsFresh)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists.Remove(what)
	if added.size > maxListBytes {
		return
	}
	for l.size+added.size > maxListBytes {
		l.lists.RemoveOldest()
	}
	l.size += added.size
	l.lists.Add(what, added)
}

func (l *lists) get(what string) (list any, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.lists.Get(what)
	if ok && !time.Now().Before(found.until) {
		l.lists.Remove(what)
		return nil, false
	}
	return found.list, ok
}

// sizeOf is about how many bytes of memory a list takes.
func sizeOf(list any) (size int) {
	const header, word, descriptor, entry = 64, 16, 256, 64 // of a list, a string, a descriptor, an entry of a map
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
