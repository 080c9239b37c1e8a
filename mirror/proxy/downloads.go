package proxy

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// downloads transfers blobs from upstreams into the store, each at most once at a time.
type downloads struct {
	store    mirror.Store
	upstream *upstreamSwitch
	network  *network
	tasks    *tasks
	limiter  *missLimiter
	routing  *routing
	writes   *writes
	wants    *wants
	log      *zap.Logger

	mu  sync.Mutex
	all map[downloadKey]*download
}

// downloadKey identifies a download. If a manifest names the blob, repo is zero and the repositories of a host share
// the download. Otherwise each repository has its own. Downloads are not shared between hosts: the content of one
// upstream does not prove that another upstream has it.
type downloadKey struct {
	digest digest.Digest
	host   string
	repo   mirror.Repo
}

// subscriber is the kind of a subscriber. It decides whether a download continues after its last subscriber has left.
type subscriber bool

const (
	// byClient is a client that pulls. If a manifest names the blob, the download continues after the client has left,
	// for later clients. Otherwise it is cancelled: the blob could be endless, and may never be requested again.
	byClient subscriber = true
	// byCommand is a fetch. A download that only fetches subscribed to is cancelled when the last one unsubscribes.
	byCommand subscriber = false
)

// subscribers counts the subscribers of a download.
type subscribers struct {
	refs    int  // subscribers that count, see download.needs
	present int  // all subscribers
	keep    bool // the download continues without subscribers
	cancel  context.CancelCauseFunc
}

// errUnsubscribed cancels a download without subscribers.
var errUnsubscribed = errors.New("nobody waits for the transfer any more")

// subscribe returns the download of blob d for repo, and whether it was already running. Repositories of one host share
// it if their manifests name the blob and their upstream confirms that they have it. The caller unsubscribes at the
// end, unless the error is not nil.
func (ds *downloads) subscribe(ctx context.Context, repo mirror.Repo, d digest.Digest, who subscriber) (dl *download, joined bool, err error) {
	stat, err := ds.store.StatBlob(ctx, repo, d)
	if err != nil {
		return nil, false, err
	}
	key := downloadKey{digest: d, host: repo.Host}
	if !stat.Referenced && !stat.Linked {
		key.repo = repo
	}
	_, net := ds.network.get()
	if who == byCommand {
		net = mirror.Background(net)
	}
	dl, net, added := ds.add(net, key, repo, who)
	if !added {
		if dl.repo != repo && !stat.Linked {
			err = ds.share(ctx, dl, repo)
		}
		if err != nil {
			ds.unsubscribe(dl, who)
			return failedDownload(key, err), false, nil
		}
		return dl, true, nil
	}
	if err = errMisses; ds.limiter.allow(ctx) {
		err = ds.tasks.begin()
	}
	if err != nil {
		ds.remove(dl)
		dl.fail(err)
		return dl, false, nil
	}
	go ds.run(net, dl)
	return dl, false, nil
}

// add adds a subscriber to the download with a key. If there is none, it adds one, which the caller runs with the context
// that is returned.
func (ds *downloads) add(net context.Context, key downloadKey, repo mirror.Repo, who subscriber) (dl *download, ctx context.Context, added bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	dl, known := ds.all[key]
	if !known {
		dl = newDownload(key, repo)
		ctx, dl.cancel = context.WithCancelCause(net)
		if ds.all == nil {
			ds.all = make(map[downloadKey]*download)
		}
		ds.all[key] = dl
	}
	dl.present++
	if dl.needs(who) {
		dl.refs++
	} else {
		dl.keep = true
	}
	return dl, ctx, !known
}

// needs reports whether a subscriber counts: the download is cancelled when the last subscriber that counts
// unsubscribes.
func (d *download) needs(who subscriber) bool { return who == byCommand || d.key.repo != mirror.Repo{} }

// unsubscribe removes a subscriber. If it was the last one that the download needs, the download is cancelled. A later
// subscriber starts a new download.
func (ds *downloads) unsubscribe(d *download, who subscriber) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d.present--
	if !d.needs(who) {
		return
	}
	if d.refs--; d.refs == 0 && !d.keep && !d.complete() {
		d.cancel(errUnsubscribed)
		ds.forget(d)
	}
}

// complete reports whether all bytes have arrived. Such a download is not cancelled.
func (d *download) complete() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state >= downloadVerified
}

// remove cancels a download and removes it.
func (ds *downloads) remove(d *download) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d.cancel(nil)
	ds.forget(d)
}

// forget removes d, unless another download has taken its place. The caller holds the lock.
func (ds *downloads) forget(d *download) {
	if ds.all[d.key] == d {
		delete(ds.all, d.key)
	}
}

// count returns the number of downloads.
func (ds *downloads) count() int {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return len(ds.all)
}

// share makes a download store its blob for repo as well, if the upstream has the blob in repo.
func (ds *downloads) share(ctx context.Context, dl *download, repo mirror.Repo) error {
	if _, err := ds.statUpstream(ctx, repo, dl.key.digest); err != nil {
		return err
	}
	if dl.addRepo(repo) {
		return nil
	}
	if err := dl.waitStored(ctx); err != nil {
		return err
	}
	return ds.link(repo, dl.key.digest)
}

// run runs a download to its end.
func (ds *downloads) run(net context.Context, dl *download) {
	defer ds.tasks.done()
	repo, d := dl.repo, dl.key.digest
	err := ds.transfer(net, dl)
	ds.remove(dl) // before the error is reported, so that a retry does not join a failed download
	log := ds.log.With(zap.Stringer("repo", repo), zap.Stringer("blob", d), zap.Error(err))
	switch {
	case err == nil:
		ds.wants.blobStored(repo, d)
		ds.linkWanted(repo, d)
		return
	case isStoreError(err):
		ds.writes.logNotStored("cannot store a blob: check whether the disk is full; clients get it from the upstream meanwhile", err,
			zap.Stringer("repo", repo), zap.Stringer("blob", d))
	case errors.Is(context.Cause(net), errUnsubscribed):
		log.Info("transfer cancelled: nobody waits for it any more")
	default:
		log.Warn("transfer failed")
	}
	dl.fail(err)
}
