package proxy

import (
	"sync/atomic"

	"airmirror/mirror"
)

// counters is what [mirror.Counters] is a copy of. The zero value is ready.
type counters struct {
	manifests, blobs outcomes
	wants            atomic.Uint64
}

type outcomes struct{ hits, stale, misses atomic.Uint64 }

func (o *outcomes) read() mirror.Outcomes {
	return mirror.Outcomes{Hits: o.hits.Load(), Stale: o.stale.Load(), Misses: o.misses.Load()}
}

// held counts something that is held, unless the store failed to give it.
func (o *outcomes) held(err error) {
	if err == nil {
		o.hits.Add(1)
	}
}

// revalidated counts what an upstream was asked about.
func (o *outcomes) revalidated(same bool) {
	if same {
		o.hits.Add(1)
	} else {
		o.misses.Add(1)
	}
}

// Counters returns what was counted so far.
func (m *Proxy) Counters() mirror.Counters {
	c := &m.counters
	return mirror.Counters{Manifests: c.manifests.read(), Blobs: c.blobs.read(), Wants: c.wants.Load()}
}
