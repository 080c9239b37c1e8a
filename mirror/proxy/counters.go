package proxy

import (
	"sync/atomic"

	"airmirror/mirror"
)

// counters counts the outcomes of client requests.
type counters struct {
	manifests, blobs outcomes
	wants            atomic.Uint64
}

type outcomes struct{ hits, stale, misses atomic.Uint64 }

func (o *outcomes) read() mirror.Outcomes {
	return mirror.Outcomes{Hits: o.hits.Load(), Stale: o.stale.Load(), Misses: o.misses.Load()}
}

// hit counts a hit unless err is not nil.
func (o *outcomes) hit(err error) {
	if err == nil {
		o.hits.Add(1)
	}
}

// revalidated counts a revalidation: a hit if the content is still the same, and otherwise a miss.
func (o *outcomes) revalidated(same bool) {
	if same {
		o.hits.Add(1)
	} else {
		o.misses.Add(1)
	}
}

// Counters returns the current counts.
func (p *Proxy) Counters() mirror.Counters {
	c := p.counters
	return mirror.Counters{Manifests: c.manifests.read(), Blobs: c.blobs.read(), Wants: c.wants.Load()}
}
