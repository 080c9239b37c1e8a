package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"airmirror/mirror"
)

// Sources reports whether content could be fetched again if it were deleted. Package mirror/proxy implements it.
type Sources interface {
	// CanFetch returns nil if an upstream would serve repo now, and otherwise why not.
	CanFetch(ctx context.Context, repo mirror.Repo) error
}

// Plan lists what a collection or a removal deletes. It can be listed any number of times and executed once.
type Plan struct {
	Made        time.Time    `json:"made"`
	Totals      Totals       `json:"totals"`
	Budget      Budget       `json:"budget"`
	InGrace     GraceTotals  `json:"inGrace"`     // content that only the grace period keeps
	KeepReasons []KeepReason `json:"keepReasons"` // kept content by reason, the largest first
	// Unreadable is the number of records of the index that could not be read. The plan does not contain them. The
	// store keeps what they refer to, and a check of the store names them.
	Unreadable int `json:"unreadable,omitempty"`

	// Pins are the pins of the content that a removal deletes.
	Pins []mirror.Ref `json:"-"`

	*planner
	firstKept    int32 // the first image that is not deleted
	members      edges // from an image to its nodes
	deletedBlobs list[deletedBlob]
	uploads      []mirror.UploadInfo
	orphans      []mirror.Orphan
	errs         errorList // unreadable records of the index
}

var errNoSources = errors.New("no upstreams are known")

// MakePlan surveys the store and decides what a collection deletes. It changes nothing. Ages are measured from now, a
// time of the store's clock; the times of a plan are converted to wall clock time. The same content, policy and time
// give the same plan. If sources is nil, no mirrored content can be fetched again.
//
// It needs a few dozen bytes of memory for each blob and each reference to a blob.
func MakePlan(ctx context.Context, store mirror.CollectStore, sources Sources, opts Options, now time.Time) (*Plan, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	cutoff := opts.cutoff(now)
	p := &Plan{planner: &planner{opts: opts, now: now, cutoff: nanos(cutoff), offset: mirror.WallClockOffset(store)}}
	p.Made = p.wallClock(now)
	// The list of files and the survey wait for different things, so both are read at the same time. The decisions need
	// both.
	ctx, cancel := context.WithCancel(ctx)
	var scan errgroup.Group
	scan.Go(func() error { return p.scanFiles(ctx, store) })
	defer func() {
		cancel()
		_ = scan.Wait() // the error was returned, or another one was first
	}()
	err := p.askSources(ctx, store, sources)
	if err == nil {
		// The digests of blobs are listed within the same survey: keeping all of them in memory would cost too much.
		err = store.Survey(ctx, func(s mirror.Survey) (err error) {
			if p.graph, err = loadGraph(ctx, s, cutoff, nil, &p.errs); err != nil {
				return err
			}
			if err := scan.Wait(); err != nil {
				return err
			}
			if err := p.decideAll(ctx); err != nil {
				return err
			}
			return p.listBlobs(ctx, s)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("plan a collection: %w", err)
	}
	p.Unreadable = p.errs.n
	p.blobs, p.files, p.stack = nil, list[int32]{}, nil
	return p, nil
}

// scanFiles lists stale uploads and orphans, and reads the free space of the disk.
func (p *Plan) scanFiles(ctx context.Context, store mirror.CollectStore) error {
	stale, cutoff := p.opts.staleBefore(p.now), timeOf(p.cutoff)
	for u, err := range store.Uploads(ctx) {
		if err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		p.Budget.Stored += u.Size
		if u.Written.Before(stale) && !u.Open {
			p.uploads = append(p.uploads, u)
			p.Totals.Uploads++
			p.Totals.Bytes += u.Size
		}
	}
	for o, err := range store.Orphans(ctx) {
		if err != nil {
			return fmt.Errorf("list orphans: %w", err)
		}
		p.Budget.Stored += o.Size
		if !o.Written.Before(cutoff) {
			p.addGrace(1, o.Size, o.Written)
			continue
		}
		p.orphans = append(p.orphans, o)
		p.Totals.Orphans++
		p.Totals.Bytes += o.Size
	}
	if p.opts.KeepFree.IsZero() {
		return nil
	}
	if p.opts.Disk == nil {
		return errors.New("keepFree needs the size of the disk, which is unknown here")
	}
	total, free, err := p.opts.Disk()
	p.Budget.DiskTotal, p.Budget.DiskFree = total, free
	return err
}

// askSources asks sources which repositories could be fetched again. It runs before the survey of the plan, because
// sources cannot be called within one.
func (p *Plan) askSources(ctx context.Context, store mirror.CollectStore, sources Sources) error {
	p.fetchErrors = make(map[string]error)
	var repos []mirror.Repo
	err := store.Survey(ctx, func(s mirror.Survey) error {
		for _, r := range s.Repos() {
			repos = append(repos, r.Repo)
		}
		return nil
	})
	for _, repo := range repos {
		reason := errNoSources
		if sources != nil {
			reason = sources.CanFetch(ctx, repo)
		}
		p.fetchErrors[repo.String()] = reason
	}
	return err
}

// decideAll decides what a collection deletes, and adds it up.
func (p *Plan) decideAll(ctx context.Context) error {
	p.propagate(p.opts.Policy)
	p.matchRules()
	p.applyRules()
	p.findTagMoves()
	if err := p.makeImages(ctx); err != nil {
		return err
	}
	p.assignFiles()
	p.applyBudget()
	p.members = newEdges(len(p.images), func(yield func(edge) bool) {
		for index, n := range p.nodes.all() {
			if !yield(edge{n.image, index}) {
				return
			}
		}
	})
	p.keepWithoutGain()
	p.addTotals()
	p.addGraceTotals()
	p.addKeepReasons()
	return nil
}

// assignFiles finds the last image that needs each file, and what each image frees.
func (p *Plan) assignFiles() {
	for index, n := range p.nodes.all() {
		for file := range p.filesOf(index) {
			b := p.blobs.at(file)
			b.lastImage = max(b.lastImage, n.image)
		}
	}
	for _, b := range p.blobs.all() {
		p.Budget.Stored += b.size
		switch {
		case b.keep:
		case b.lastImage != noImage:
			p.images[b.lastImage].freed += b.size
		case !b.referenced:
			p.Totals.Bytes += b.size
		}
	}
}

// deletesImage reports whether the plan deletes an image.
func (p *Plan) deletesImage(index int32) bool { return index < p.firstKept && !p.images[index].noGain }

// deletesBlob reports whether the plan deletes a file.
func (p *Plan) deletesBlob(b *blob) bool {
	if b.lastImage == noImage {
		return !b.keep && !b.referenced
	}
	return !b.keep && p.deletesImage(b.lastImage)
}

// keepWithoutGain keeps the images whose eviction frees nothing because other images need all their files.
func (p *Plan) keepWithoutGain() {
	for index := p.firstKept - 1; index >= 0; index-- {
		if img := &p.images[index]; img.class == evictable {
			img.noGain = !p.gains(index)
		}
	}
}

// gains reports whether deleting an image is of use: it frees a file, now or with a later image, or a later image
// that is deleted contains one of its dependents.
func (p *Plan) gains(image int32) (gains bool) {
	for _, n := range p.members.of(image) {
		for file := range p.filesOf(n) {
			if b := p.blobs.at(file); !b.keep && b.lastImage < p.firstKept {
				return true
			}
		}
	}
	seen := make(map[int32]bool)
	p.walk(&p.dependents, p.images[image].root, func(n int32) bool {
		first := !seen[n] && !gains
		seen[n] = true
		of := p.nodes.at(n).image
		gains = gains || of != image && p.deletesImage(of)
		return first
	})
	return gains
}

// addTotals adds up what is deleted, and the sizes of all images.
func (p *Plan) addTotals() {
	for index := range p.firstKept {
		img, members := &p.images[index], p.members.of(index)
		if img.noGain || len(members) == 0 {
			continue
		}
		p.Totals.Images++
		p.Totals.Manifests += len(members)
		p.Totals.Bytes += img.freed
		for _, n := range members {
			p.Totals.Tags += len(p.tagsOf.of(n))
		}
	}
	for range p.deletedTags() {
		p.Totals.Tags++
	}
	for index := range int32(len(p.images)) {
		p.images[index].size = p.sizeOf(index)
	}
}

// sizeOf adds up the files of an image, each once.
func (p *Plan) sizeOf(image int32) (size int64) {
	for pass := range 2 {
		for _, n := range p.members.of(image) {
			for file := range p.filesOf(n) {
				if b := p.blobs.at(file); b.counted == (pass == 1) {
					b.counted = pass == 0
					if pass == 0 {
						size += b.size
					}
				}
			}
		}
	}
	return size
}
