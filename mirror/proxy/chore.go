package proxy

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

	"airmirror/mirror"
)

// choreNotes lists, by reference, the images that were pulled and are still to be completed.
const choreNotes = "incomplete"

// choreNote is what is noted of one.
type choreNote struct {
	Index  digest.Digest `json:"index,omitempty"` // as in [chore]
	Client string        `json:"client,omitempty"`
}

// chores are the images that are completed in the background: what was pulled once is to run with no network, whatever
// of it the client happened to have already.
type chores struct {
	mu      sync.Mutex
	open    map[mirror.Ref]*chore // by digest
	slots   chan struct{}
	stop    chan struct{}       // closed when the mirror closes
	skipped map[mirror.Ref]bool // asked about, not yet pulled: completed when a client fetches them
	shares  *mirror.Shares[string]
	begun   int            // how many came or were begun
	served  map[string]int // by owner, what begun was when one of its was begun; of owners that have some
}

// chore is one image that is to be completed.
type chore struct {
	owner   string // the client whose share it is part of; see [mirror.NetworkName]
	came    int    // they are begun in the order of these, as far as they have the same owner
	working bool
	noted   bool      // it outlives the process: only then is it begun
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
func (m *Proxy) loadChores(ctx context.Context) error {
	c := &m.chores
	c.open, c.skipped = make(map[mirror.Ref]*chore), make(map[mirror.Ref]bool)
	c.shares, c.served = mirror.NewShares[string](maxChores), make(map[string]int)
	c.slots, c.stop = make(chan struct{}, m.opts.BackfillParallel), make(chan struct{})
	notes, err := m.store.State(ctx, choreNotes)
	for name, data := range notes {
		ref, err := mirror.ParseRef(name)
		if err != nil || ref.Digest == "" {
			continue
		}
		var note choreNote
		_ = json.Unmarshal(data, &note) // one that cannot be read is one of an image that was asked for
		c.shares.Force(note.Client, 1)
		c.add(ref, &chore{index: note.Index, owner: note.Client, noted: true})
	}
	return err
}

// complete has the rest of an image fetched for the client of ctx, unless it is being fetched already.
func (m *Proxy) complete(ctx context.Context, ref mirror.Ref) { m.completeChild(ctx, ref, "") }

// completeChild is complete for an image that an index names, and of which the manifest need not be here.
func (m *Proxy) completeChild(ctx context.Context, ref mirror.Ref, index digest.Digest) {
	if images, _ := m.opts.Backfill(ref.Repo); !images {
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
		if asked = (&chore{index: index, owner: mirror.NetworkName(mirror.ClientOf(ctx))}); !c.shares.Take(asked.owner, 1) {
			c.mu.Unlock()
			m.log.Info("an image is not completed: as many as may be wait already for its client; it is tried again when it is pulled again", zap.Stringer("ref", ref), zap.String("client", asked.owner))
			return
		}
		c.add(ref, asked)
	}
	delete(c.skipped, ref)
	c.mu.Unlock()
	if known || m.begin() != nil {
		return
	}
	go func() {
		defer m.work.Done()
		note, _ := json.Marshal(choreNote{Index: index, Client: asked.owner}) // it can be written
		if err := m.store.SetState(m.ctx, choreNotes, map[string][]byte{ref.String(): note}); err != nil {
			m.log.Error("cannot note an image that is to be completed", zap.Stringer("ref", ref), zap.Error(err))
		}
		c.mu.Lock()
		asked.noted = true
		c.mu.Unlock()
		m.resumeChores()
	}()
}

// retryChores has all images that could not be completed so far tried again soon: what was in the way may be gone.
func (m *Proxy) retryChores() {
	m.chores.mu.Lock()
	defer m.chores.mu.Unlock()
	for _, chore := range m.chores.open {
		chore.fresh()
	}
}

// workOn completes one image, for which there is a slot. What cannot be had now stays a chore; what the upstream says it
// does not have, or sends wrong bytes for again and again, is none.
func (m *Proxy) workOn(ref mirror.Ref, chore *chore) (done bool) {
	c := &m.chores
	c.mu.Lock()
	asked := cmp.Or(chore.index, ref.Digest)
	c.mu.Unlock()

	_, referrers := m.opts.Backfill(ref.Repo)
	var fetched mirror.Fetched
	ctx := context.WithValue(m.ctx, choreKey{}, true)
	_, err := m.stored(mirror.WithoutUsage(ctx), ref.Repo, asked)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown && mirror.DefectOf(err) == nil { // deleted since: it is not to come back
		err = &mirror.Error{Code: mirror.CodeManifestUnknown, Message: "the manifest was deleted", Cause: err}
	} else {
		fetched, err = m.fetch(ctx, ref, mirror.FetchOptions{Referrers: referrers, Parallel: 1})
	}
	c.mu.Lock()
	if err != nil {
		chore.failed(err)
	}
	wrong := chore.wrong >= maxWrong
	done = err == nil || wrong || settled(err)
	next := chore.next
	c.mu.Unlock()
	if done {
		if err := m.store.SetState(m.ctx, choreNotes, map[string][]byte{ref.String(): nil}); err != nil {
			m.log.Error("cannot strike off a completed image", zap.Stringer("ref", ref), zap.Error(err))
		}
	}
	c.mu.Lock()
	chore.working = false
	if done {
		c.remove(ref)
	}
	c.mu.Unlock()
	log := m.log.With(zap.Stringer("ref", ref), zap.Error(err))
	switch {
	case err == nil:
		log.Info("image is complete", zap.NamedError("notChecked", fetched.NotChecked))
	case wrong:
		log.Error("image is given up: its upstream keeps sending wrong bytes; it is tried again when a client pulls it")
	case done:
		log.Warn("image is given up: its upstream does not have all of it")
	default:
		log.Info("image is not complete yet", zap.Time("again", next))
	}
	return done
}

// settled reports whether nothing of what a fetch could not have will be there if it is asked for again soon.
func settled(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !settled(err) })
	}
	return mirror.CodeOf(err) == mirror.CodeManifestInvalid || mirror.Definitive(errors.Unwrap(err))
}

// wrongBytes reports whether some of what a fetch got was not what it asked for.
func wrongBytes(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(all.Unwrap(), wrongBytes)
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if e, ok := err.(*mirror.Error); ok && e.Code == mirror.CodeDigestInvalid {
			return true
		}
	}
	return false
}

// pulled notes that a client fetched a manifest of which the blobs may be missing.
func (m *Proxy) pulled(ctx context.Context, ref mirror.Ref) {
	m.chores.mu.Lock()
	waiting := m.chores.skipped[ref]
	m.chores.mu.Unlock()
	if waiting {
		m.complete(ctx, ref)
	}
}

// fetchedWhole forgets about manifests that came in: there is nothing left to complete.
func (m *Proxy) fetchedWhole(repo mirror.Repo, manifests map[digest.Digest]bool) {
	m.chores.mu.Lock()
	defer m.chores.mu.Unlock()
	for d := range manifests {
		delete(m.chores.skipped, mirror.Ref{Repo: repo, Digest: d})
	}
}

// askedAbout notes that a manifest came in because a client asked what is there: nothing is fetched for that alone.
func (m *Proxy) askedAbout(ref mirror.Ref) {
	const most = 4096 // a client that fetches a forgotten one is noticed by its first blob
	m.chores.mu.Lock()
	defer m.chores.mu.Unlock()
	if _, open := m.chores.open[ref]; !open && len(m.chores.skipped) < most {
		m.chores.skipped[ref] = true
	}
}
