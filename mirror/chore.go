package mirror

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
)

// choreNotes lists, by reference, the images that were pulled and are still to be completed.
const choreNotes = "incomplete"

// choreNote is what is noted of one.
type choreNote struct {
	Index digest.Digest `json:"index,omitempty"` // as in [chore]
}

// chores are the images that are completed in the background: what was pulled once is to run with no network, whatever
// of it the client happened to have already.
type chores struct {
	mu      sync.Mutex
	open    map[Ref]*chore // by digest
	slots   chan struct{}
	stop    chan struct{} // closed when the mirror closes
	skipped map[Ref]bool  // asked about, not yet pulled: completed when a client fetches them
}

// chore is one image that is to be completed.
type chore struct {
	working bool
	tries   int       // in vain, since a client asked last
	wrong   int       // of them, those that brought wrong bytes
	next    time.Time // not before
	// index is what names the image, if nobody asked for the image itself: its manifest need not be stored then, and it is
	// not completed once the index is deleted.
	index digest.Digest
}

const (
	// firstPause is how long a chore that failed rests; it doubles with each failure, up to longestPause.
	firstPause   = 10 * time.Second
	longestPause = time.Hour
	// maxWrong is how often the upstream may send wrong bytes for an image. It will not send others: a chore is given
	// up then, until a client pulls the image again.
	maxWrong = 3
)

// failed notes that the chore was tried in vain.
func (c *chore) failed(err error) {
	pause := min(firstPause<<min(c.tries, 20), longestPause)
	c.tries++
	if wrongBytes(err) {
		c.wrong++
	}
	c.next = time.Now().Add(pause)
}

// fresh has the chore tried as if for the first time.
func (c *chore) fresh() { c.tries, c.wrong, c.next = 0, 0, time.Time{} }

// loadChores takes up what earlier runs left.
func (m *Mirror) loadChores(ctx context.Context) error {
	c := &m.chores
	c.open, c.skipped = make(map[Ref]*chore), make(map[Ref]bool)
	c.slots, c.stop = make(chan struct{}, m.opts.Parallel), make(chan struct{})
	notes, err := m.store.Notes(ctx, choreNotes)
	for name, data := range notes {
		ref, err := ParseRef(name)
		if err != nil || ref.Digest == "" {
			continue
		}
		var note choreNote
		_ = json.Unmarshal(data, &note) // one that cannot be read is one of an image that was asked for
		c.open[ref] = &chore{index: note.Index}
	}
	return err
}

// complete has the rest of an image fetched, unless it is being fetched already.
func (m *Mirror) complete(ref Ref) { m.completeChild(ref, "") }

// completeChild is complete for an image that an index names, and of which the manifest need not be here.
func (m *Mirror) completeChild(ref Ref, index digest.Digest) {
	if images, _ := m.opts.Complete(ref.Repo); !images {
		return
	}
	c := &m.chores
	c.mu.Lock()
	asked, known := c.open[ref]
	if known {
		asked.fresh()
		if index == "" { // it is asked for itself now
			asked.index = ""
		}
	} else {
		c.open[ref] = &chore{index: index}
	}
	delete(c.skipped, ref)
	c.mu.Unlock()
	if known || m.begin() != nil {
		return
	}
	go func() {
		defer m.work.Done()
		note, _ := json.Marshal(choreNote{Index: index}) // it can be written
		if err := m.store.Note(m.ctx, choreNotes, map[string][]byte{ref.String(): note}); err != nil {
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
	now := time.Now()
	for ref, chore := range m.chores.open {
		if !chore.working && !now.Before(chore.next) {
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

// retryChores has all images that could not be completed so far tried again soon: what was in the way may be gone.
func (m *Mirror) retryChores() {
	m.chores.mu.Lock()
	defer m.chores.mu.Unlock()
	for _, chore := range m.chores.open {
		chore.fresh()
	}
}

// workOn completes one image when a slot is free. What cannot be had now stays a chore; what the upstream says it does
// not have, or sends wrong bytes for again and again, is none.
func (m *Mirror) workOn(ref Ref) {
	if m.room(0) != nil { // it would be fetched and thrown away
		return
	}
	c := &m.chores
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-c.stop:
		return
	}
	c.mu.Lock()
	chore, known := c.open[ref]
	if !known || chore.working {
		c.mu.Unlock()
		return
	}
	chore.working = true
	asked := cmp.Or(chore.index, ref.Digest)
	c.mu.Unlock()

	_, referrers := m.opts.Complete(ref.Repo)
	ctx := context.WithValue(m.ctx, choreKey{}, true)
	_, err := m.stored(Look(ctx), ref.Repo, asked)
	if CodeOf(err) == CodeManifestUnknown && FlawOf(err) == nil { // deleted since: it is not to come back
		err = &Error{Code: CodeManifestUnknown, Message: "the manifest was deleted", Cause: err}
	} else {
		_, err = m.fetch(ctx, ref, FetchOptions{Referrers: referrers, Parallel: 1})
	}
	c.mu.Lock()
	if err != nil {
		chore.failed(err)
	}
	wrong := chore.wrong >= maxWrong
	done := err == nil || wrong || settled(err)
	next := chore.next
	c.mu.Unlock()
	if done {
		if err := m.store.Note(m.ctx, choreNotes, map[string][]byte{ref.String(): nil}); err != nil {
			m.log.Error("cannot strike off a completed image", zap.Stringer("ref", ref), zap.Error(err))
		}
	}
	c.mu.Lock()
	chore.working = false
	if done {
		delete(c.open, ref)
	}
	c.mu.Unlock()
	log := m.log.With(zap.Stringer("ref", ref), zap.Error(err))
	switch {
	case err == nil:
		log.Info("image is complete")
	case wrong:
		log.Error("image is given up: its upstream keeps sending wrong bytes; it is tried again when a client pulls it")
	case done:
		log.Warn("image is given up: its upstream does not have all of it")
	default:
		log.Info("image is not complete yet", zap.Time("again", next))
	}
}

// settled reports whether nothing of what a fetch could not have will be there if it is asked for again soon.
func settled(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !settled(err) })
	}
	return CodeOf(err) == CodeManifestInvalid || final(errors.Unwrap(err))
}

// wrongBytes reports whether some of what a fetch got was not what it asked for.
func wrongBytes(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(all.Unwrap(), wrongBytes)
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if e, ok := err.(*Error); ok && e.Code == CodeDigestInvalid {
			return true
		}
	}
	return false
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
