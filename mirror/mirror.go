package mirror

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
)

// Options say how a [Mirror] decides. The zero value works: everything is revalidated, nothing is logged.
type Options struct {
	Names Names
	// Fresh is how long a tag that an upstream confirmed is served without asking again.
	Fresh time.Duration
	// Patience is how long a client waits for an upstream when there is a held answer to fall back on; 700 ms if it
	// is zero. Revalidation goes on without the client.
	Patience time.Duration
	// Offline means that no upstream is asked for anything.
	Offline bool
	Log     *zap.Logger
}

const defaultPatience = 700 * time.Millisecond

// Mirror is a registry that holds content and fetches what it does not hold: the domain, see the package comment.
// All of it may be used concurrently. Work that it does on behalf of clients goes on when they leave; Close ends it.
type Mirror struct {
	store    Store
	upstream Upstream
	opts     Options
	log      *zap.Logger
	lookups  singleflight.Group // of manifests
	flights  flights            // of blobs

	ctx     context.Context // of work that outlives the request that caused it
	cancel  context.CancelFunc
	closing sync.RWMutex // held for writing once, to let no work begin after Close
	closed  bool
	work    sync.WaitGroup
}

// New returns a mirror over what store holds. It asks upstream nothing until a request needs it; with
// [Options.Offline] upstream is never called and may be nil.
func New(store Store, upstream Upstream, opts Options) *Mirror {
	if opts.Patience == 0 {
		opts.Patience = defaultPatience
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Mirror{store: store, upstream: upstream, opts: opts, log: opts.Log, ctx: ctx, cancel: cancel}
}

// Close waits for transfers under way until ctx ends, then breaks off the rest. The store stays open.
func (m *Mirror) Close(ctx context.Context) error {
	m.closing.Lock()
	m.closed = true
	m.closing.Unlock()
	done := make(chan struct{})
	go func() { m.work.Wait(); close(done) }()
	defer m.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		m.cancel()
		<-done
		return ctx.Err()
	}
}

// Names returns how this mirror reads and writes repository names.
func (m *Mirror) Names() Names { return m.opts.Names }

// mayAsk returns why the misses of repo are not asked upstream for, or nil if they are.
func (m *Mirror) mayAsk(ctx context.Context, repo Repo) error {
	if m.opts.Offline {
		return Errorf(CodeUnavailable, "the mirror is offline")
	}
	// A name that was pushed here belongs to this network. To look for its missing tags outside would let whoever
	// registers the name there slip an image in.
	switch origin, err := m.store.RepoOrigin(ctx, repo); {
	case err == nil && origin == Pushed:
		return Errorf(CodeUnavailable, "the repository is local, it was created by a push")
	case err != nil && CodeOf(err) != CodeNameUnknown:
		return err
	}
	return nil
}

// longName returns the repository that a client means by a short name which nothing was pushed under: Docker's tools
// write docker.io/alpine for docker.io/library/alpine.
func (m *Mirror) longName(ctx context.Context, repo Repo) (long Repo, ok bool) {
	if repo.Host != DockerHub || strings.Contains(repo.Path, "/") {
		return repo, false
	}
	if _, err := m.store.RepoOrigin(ctx, repo); CodeOf(err) != CodeNameUnknown {
		return repo, false
	}
	return Repo{Host: DockerHub, Path: "library/" + repo.Path}, true
}

// begin notes that work goes on which Close must wait for; the caller calls m.work.Done when it ends.
func (m *Mirror) begin() error {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return Errorf(CodeUnavailable, "the mirror is shutting down")
	}
	m.work.Add(1)
	return nil
}
