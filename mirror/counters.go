package mirror

import "sync/atomic"

// Counters say what became of what clients asked for, since the mirror was opened. What it fetches by itself or for a
// command is not among it, nor is what nobody pulls: who only asks whether there is a blob.
type Counters struct {
	Manifests Outcomes // asked for by tag or digest, with or without their content
	Blobs     Outcomes // asked for with their content
	// Wants are the misses that became a [Want], each time.
	Wants uint64
}

// Outcomes are the three things that can become of a request for something.
type Outcomes struct {
	Hits   uint64 // held, and current as far as that was to be found out
	Stale  uint64 // held, and served though its upstream could not be asked
	Misses uint64 // not held, or only in an older version: fetched or, if that failed, refused
}

// counters is what [Counters] is a copy of. The zero value is ready.
type counters struct {
	manifests, blobs outcomes
	wants            atomic.Uint64
}

type outcomes struct{ hits, stale, misses atomic.Uint64 }

func (o *outcomes) read() Outcomes {
	return Outcomes{Hits: o.hits.Load(), Stale: o.stale.Load(), Misses: o.misses.Load()}
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
func (m *Mirror) Counters() Counters {
	c := &m.counters
	return Counters{Manifests: c.manifests.read(), Blobs: c.blobs.read(), Wants: c.wants.Load()}
}
