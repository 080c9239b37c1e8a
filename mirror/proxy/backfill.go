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

// backfillState is the kind of the records that hold the images to complete, by reference.
const backfillState = "incomplete"

// backfillRecord is the record of one of them.
type backfillRecord struct {
	Index  digest.Digest `json:"index,omitempty"` // as in backfillImage
	Client string        `json:"client,omitempty"`
}

// backfill completes images in the background. An image that was pulled once must run without a network, whatever part of
// it the client had already.
type backfill struct {
	store   mirror.Store
	content *content
	fetcher *fetcher
	network *network
	writes  *writes
	tasks   *tasks
	enabled func(mirror.Repo) (images, referrers bool) // see [Options.Backfill]
	log     *zap.Logger
	slots   chan struct{} // of images that are completed at a time

	mu       sync.Mutex
	images   map[mirror.Ref]*backfillImage // by digest
	unpulled map[mirror.Ref]bool           // manifests that no client has pulled yet; they are completed when one does
	shares   *mirror.Shares[string]
	sequence int            // of images and turns
	turns    map[string]int // by owner, the sequence number of its last turn; without owners that have no images
}

// backfillImage is an image that is to be completed.
type backfillImage struct {
	owner   string // the client that it counts for; see [mirror.NetworkName]
	queued  int    // the images of one owner are completed in this order
	running bool
	saved   bool      // it is recorded in the store; only then it is begun
	tries   int       // failed attempts since the last request of a client
	wrong   int       // failed attempts in which the upstream sent wrong bytes
	next    time.Time // it is not tried before
	// index names the image if no client asked for the image itself. Its manifest need not be stored then, and it is not
	// completed after the index was deleted.
	index digest.Digest
}

const (
	// firstPause is the pause after the first failure. It doubles with each failure up to longestPause.
	firstPause   = 10 * time.Second
	longestPause = time.Hour
	// maxWrong is how often an upstream may send wrong bytes for an image. It will hardly send others, so backfill gives
	// up then until a client pulls the image again.
	maxWrong = 3
	// maxUnpulled is the maximum number of unpulled manifests. A pull of a manifest that is no longer in this list is
	// recognized by the first request for one of its blobs.
	maxUnpulled = 4096
)

// failed schedules the next try after a failure.
func (i *backfillImage) failed(err error) {
	pause := min(firstPause<<min(i.tries, 20), longestPause)
	i.tries++
	if wrongBytes(err) {
		i.wrong++
	}
	i.next = time.Now().Add(pause)
}

// reset forgets the failures.
func (i *backfillImage) reset() { i.tries, i.wrong, i.next = 0, 0, time.Time{} }

// load reads the images of earlier runs.
func (b *backfill) load(ctx context.Context) error {
	b.images, b.unpulled = make(map[mirror.Ref]*backfillImage), make(map[mirror.Ref]bool)
	b.shares, b.turns = mirror.NewShares[string](maxBackfill), make(map[string]int)
	state, err := b.store.State(ctx, backfillState)
	for name, data := range state {
		ref, err := mirror.ParseRef(name)
		if err != nil || ref.Digest == "" {
			continue
		}
		var record backfillRecord
		_ = json.Unmarshal(data, &record) // older versions wrote none
		b.shares.Force(record.Client, 1)
		b.add(ref, &backfillImage{index: record.Index, owner: record.Client, saved: true})
	}
	return err
}

// enqueue adds an image for the client of ctx, unless it is there already.
func (b *backfill) enqueue(ctx context.Context, ref mirror.Ref) { b.enqueueChild(ctx, ref, "") }

// enqueueChild is like enqueue for an image that an index names and whose manifest need not be stored.
func (b *backfill) enqueueChild(ctx context.Context, ref mirror.Ref, index digest.Digest) {
	if images, _ := b.enabled(ref.Repo); !images {
		return
	}
	b.mu.Lock()
	image, known := b.images[ref]
	if known {
		image.reset()
		if index == "" { // a client asks for the image itself now
			image.index = ""
		}
	} else {
		if image = (&backfillImage{index: index, owner: mirror.NetworkName(mirror.ClientOf(ctx))}); !b.shares.Take(image.owner, 1) {
			b.mu.Unlock()
			b.log.Info("backfill queue of this client is full: the image is completed when a client pulls it again", zap.Stringer("ref", ref), zap.String("client", image.owner))
			return
		}
		b.add(ref, image)
	}
	delete(b.unpulled, ref)
	b.mu.Unlock()
	if known || b.tasks.begin() != nil {
		return
	}
	go func() {
		defer b.tasks.done()
		record, _ := json.Marshal(backfillRecord{Index: index, Client: image.owner}) // cannot fail
		if err := b.store.SetState(b.tasks.ctx, backfillState, map[string][]byte{ref.String(): record}); err != nil {
			b.log.Error("cannot save an image that is to be completed", zap.Stringer("ref", ref), zap.Error(err))
		}
		b.mu.Lock()
		image.saved = true
		b.mu.Unlock()
		b.resume()
	}()
}

// manifestPulled must be called when a client pulls a manifest whose blobs may not be stored.
func (b *backfill) manifestPulled(ctx context.Context, ref mirror.Ref) {
	b.mu.Lock()
	waiting := b.unpulled[ref]
	b.mu.Unlock()
	if waiting {
		b.enqueue(ctx, ref)
	}
}

// blobPulled enqueues the images that name a blob which a client downloads.
func (b *backfill) blobPulled(ctx context.Context, repo mirror.Repo, d digest.Digest) {
	if images, _ := b.enabled(repo); !images {
		return
	}
	manifests, err := b.store.ReferencedBy(ctx, repo, d)
	if err != nil {
		b.log.Error("cannot find the images of a pulled blob", zap.Stringer("blob", d), zap.Error(err))
	}
	for _, manifest := range manifests {
		b.enqueue(ctx, mirror.Ref{Repo: repo, Digest: manifest})
	}
}

// manifestStored must be called when a manifest was stored for a client that may only have looked it up. Nothing is
// fetched for that alone.
func (b *backfill) manifestStored(ref mirror.Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, queued := b.images[ref]; !queued && len(b.unpulled) < maxUnpulled {
		b.unpulled[ref] = true
	}
}

// imageFetched must be called when manifests are complete, so that nothing is left to fetch when a client pulls them.
func (b *backfill) imageFetched(repo mirror.Repo, manifests map[digest.Digest]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for d := range manifests {
		delete(b.unpulled, mirror.Ref{Repo: repo, Digest: d})
	}
}

// count returns the number of images to complete.
func (b *backfill) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.images)
}

// complete completes an image and reports whether it is done. After an error that may be temporary it is not. It is if the
// upstream does not have the content, or sends wrong bytes again and again.
func (b *backfill) complete(ref mirror.Ref, image *backfillImage) (done bool) {
	fetched, err := b.fetch(ref, image)
	b.mu.Lock()
	if err != nil {
		image.failed(err)
	}
	wrong := image.wrong >= maxWrong
	done = err == nil || wrong || permanent(err)
	next := image.next
	b.mu.Unlock()
	if done {
		if err := b.store.SetState(b.tasks.ctx, backfillState, map[string][]byte{ref.String(): nil}); err != nil {
			b.log.Error("cannot delete the record of a completed image", zap.Stringer("ref", ref), zap.Error(err))
		}
	}
	b.mu.Lock()
	image.running = false
	if done {
		b.remove(ref)
	}
	b.mu.Unlock()
	log := b.log.With(zap.Stringer("ref", ref), zap.Error(err))
	switch {
	case err == nil:
		log.Info("image is complete", zap.NamedError("notChecked", fetched.NotChecked))
	case wrong:
		log.Error("backfill gives up: the upstream keeps sending wrong bytes; it tries again when a client pulls the image")
	case done:
		log.Warn("backfill gives up: the upstream does not have the complete image")
	default:
		log.Info("image is not complete yet", zap.Time("again", next))
	}
	return done
}

// fetch fetches an image, unless it was deleted meanwhile.
func (b *backfill) fetch(ref mirror.Ref, image *backfillImage) (mirror.Fetched, error) {
	b.mu.Lock()
	root := cmp.Or(image.index, ref.Digest)
	b.mu.Unlock()
	_, referrers := b.enabled(ref.Repo)
	ctx := withoutCaller(b.tasks.ctx)
	_, err := b.content.manifest(mirror.WithoutUsage(ctx), ref.Repo, root)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown && mirror.DefectOf(err) == nil {
		return mirror.Fetched{}, &mirror.Error{Code: mirror.CodeManifestUnknown, Message: "the manifest was deleted", Cause: err}
	}
	return b.fetcher.fetch(ctx, ref, mirror.FetchOptions{Referrers: referrers, Parallel: 1})
}

// permanent reports whether another try would fail with the same errors.
func permanent(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !permanent(err) })
	}
	return mirror.CodeOf(err) == mirror.CodeManifestInvalid || mirror.Definitive(errors.Unwrap(err))
}

// wrongBytes reports whether an upstream sent content that does not match its digest.
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
