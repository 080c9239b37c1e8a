package mirror

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
)

// choreNotes lists, by reference, the images that were pulled and are still to be completed.
const choreNotes = "incomplete"

// chores are the images that are completed in the background: what was pulled once is to run with no network, whatever
// of it the client happened to have already.
type chores struct {
	mu      sync.Mutex
	open    map[Ref]bool // by digest; true while it is worked on
	slots   chan struct{}
	stop    chan struct{} // closed when the mirror closes
	skipped map[Ref]bool  // asked about, not yet pulled: completed when a client fetches them
}

// loadChores takes up what earlier runs left.
func (m *Mirror) loadChores(ctx context.Context) error {
	c := &m.chores
	c.open, c.skipped = make(map[Ref]bool), make(map[Ref]bool)
	c.slots, c.stop = make(chan struct{}, m.opts.Parallel), make(chan struct{})
	notes, err := m.store.Notes(ctx, choreNotes)
	for note := range notes {
		if ref, err := ParseRef(note); err == nil && ref.Digest != "" {
			c.open[ref] = false
		}
	}
	return err
}

// complete has the rest of an image fetched, unless it is being fetched already.
func (m *Mirror) complete(ref Ref) {
	if images, _ := m.opts.Complete(ref.Repo); !images {
		return
	}
	c := &m.chores
	c.mu.Lock()
	_, known := c.open[ref]
	if !known {
		c.open[ref] = false
	}
	delete(c.skipped, ref)
	c.mu.Unlock()
	if known || m.begin() != nil {
		return
	}
	go func() {
		defer m.work.Done()
		if err := m.store.Note(m.ctx, choreNotes, map[string][]byte{ref.String(): []byte("{}")}); err != nil {
			m.log.Error("cannot note an image that is to be completed", zap.Stringer("ref", ref), zap.Error(err))
		}
		m.workOn(ref)
	}()
}

// resumeChores goes on with the images that could not be completed so far.
func (m *Mirror) resumeChores() {
	if m.Mode() == Offline {
		return
	}
	m.chores.mu.Lock()
	var idle []Ref
	for ref, working := range m.chores.open {
		if !working {
			idle = append(idle, ref)
		}
	}
	m.chores.mu.Unlock()
	free := cap(m.chores.slots) - len(m.chores.slots) // those who wait for the others need no company
	for _, ref := range idle[:min(len(idle), free)] {
		if m.begin() != nil {
			return
		}
		go func() {
			defer m.work.Done()
			m.workOn(ref)
		}()
	}
}

// workOn completes one image when a slot is free. What cannot be had now stays a chore; what the upstream says it does
// not have is none.
func (m *Mirror) workOn(ref Ref) {
	c := &m.chores
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-c.stop:
		return
	}
	c.mu.Lock()
	if working, known := c.open[ref]; working || !known {
		c.mu.Unlock()
		return
	}
	c.open[ref] = true
	c.mu.Unlock()

	_, referrers := m.opts.Complete(ref.Repo)
	ctx := context.WithValue(m.ctx, choreKey{}, true)
	_, err := m.store.Manifest(ctx, ref.Repo, ref.Digest)
	if CodeOf(err) == CodeManifestUnknown { // deleted since: it is not to come back
		err = &Error{Code: CodeManifestUnknown, Message: "the manifest was deleted", Cause: err}
	} else {
		_, err = m.fetch(ctx, ref, FetchOptions{Referrers: referrers, Parallel: 1})
	}
	done := err == nil || settled(err)
	if done {
		if err := m.store.Note(m.ctx, choreNotes, map[string][]byte{ref.String(): nil}); err != nil {
			m.log.Error("cannot strike off a completed image", zap.Stringer("ref", ref), zap.Error(err))
		}
	}
	if err != nil {
		m.log.Info("image is not complete yet", zap.Stringer("ref", ref), zap.Bool("final", done), zap.Error(err))
	} else {
		m.log.Info("image is complete", zap.Stringer("ref", ref))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if done {
		delete(c.open, ref)
	} else {
		c.open[ref] = false
	}
}

// settled reports whether nothing of what a fetch could not have will be there if it is asked for again soon.
func settled(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !settled(err) })
	}
	return CodeOf(err) == CodeManifestInvalid || final(errors.Unwrap(err))
}

// pulled notes that a client fetched a manifest of which the blobs may be missing.
func (m *Mirror) pulled(ref Ref) {
	m.chores.mu.Lock()
	waiting := m.chores.skipped[ref]
	m.chores.mu.Unlock()
	if waiting {
		m.complete(ref)
	}
}

// fetchedWhole forgets about manifests that came in: there is nothing left to complete.
func (m *Mirror) fetchedWhole(repo Repo, manifests map[digest.Digest]bool) {
	m.chores.mu.Lock()
	defer m.chores.mu.Unlock()
	for d := range manifests {
		delete(m.chores.skipped, Ref{Repo: repo, Digest: d})
	}
}

// askedAbout notes that a manifest came in because a client asked what is there: nothing is fetched for that alone.
func (m *Mirror) askedAbout(ref Ref) {
	const most = 4096 // a client that fetches a forgotten one is noticed by its first blob
	m.chores.mu.Lock()
	defer m.chores.mu.Unlock()
	if _, open := m.chores.open[ref]; !open && len(m.chores.skipped) < most {
		m.chores.skipped[ref] = true
	}
}
