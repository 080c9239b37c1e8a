package proxy

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// flightKey tells flights apart. repo is zero for a blob that manifests announced: such flights are shared by the
// repositories of a host, since what one upstream sends is no proof that another has it.
type flightKey struct {
	digest digest.Digest
	host   string
	repo   mirror.Repo
}

// flights are the transfers under way. The zero value is ready.
type flights struct {
	mu sync.Mutex
	m  map[flightKey]*flight
}

// rider says what leaving means to who asks for a flight.
type rider bool

const (
	// stays: a client, whose flight goes on when it leaves, for the next one. That holds for a blob that a manifest
	// announced: of any other nobody knows whether there is an end to it, nor whether anybody will ask again.
	stays rider = true
	// leaves: a fetch. A flight that only fetches asked for ends when the last of them is told to stop.
	leaves rider = false
)

// riders are who a flight is for.
type riders struct {
	aboard int  // who will leave
	kept   bool // somebody stays: a client asked for it, now or before
	cancel context.CancelCauseFunc
}

// errLeft ends a flight that nobody rides any more.
var errLeft = errors.New("what asked for it was stopped")

// join returns the flight under key, and whether it is a new one, from the upstream of repo, that the caller must make
// depart with the context that comes with it. Every rider must be told of to leave.
func (fs *flights) join(net context.Context, key flightKey, repo mirror.Repo, who rider) (f *flight, ctx context.Context, fresh bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, known := fs.m[key]
	if !known {
		f = &flight{key: key, repo: repo, changed: make(chan struct{})}
		ctx, f.cancel = context.WithCancelCause(net)
		if fs.m == nil {
			fs.m = make(map[flightKey]*flight)
		}
		fs.m[key] = f
	}
	if f.leaves(who) {
		f.aboard++
	} else {
		f.kept = true
	}
	return f, ctx, !known
}

// leaves reports whether the flight goes on for a rider only as long as it is aboard.
func (f *flight) leaves(who rider) bool { return who == leaves || f.key.repo != mirror.Repo{} }

// leave is for who rides no more. If it was the last for which the flight goes on, that ends, and whoever comes now gets
// another.
func (fs *flights) leave(f *flight, who rider) {
	if !f.leaves(who) {
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.aboard--; f.aboard == 0 && !f.kept && !f.whole() {
		f.cancel(errLeft)
		fs.remove(f)
	}
}

// ended forgets a flight.
func (fs *flights) ended(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.cancel(nil)
	fs.remove(f)
}

// remove forgets f, and not the one that may have taken its place.
func (fs *flights) remove(f *flight) {
	if fs.m[f.key] == f {
		delete(fs.m, f.key)
	}
}

// count is how many transfers are under way.
func (fs *flights) count() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.m)
}

// whole reports whether all bytes are in: a flight that has come so far may as well land.
func (f *flight) whole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state >= flightVerified
}

// fly returns the flight that brings d to repo, and whether it was under way already. Repositories of one host whose
// manifests announce the same blob share a flight, once the upstream has said of each that it is there; one that merely
// asks for it has its own. After a nil error, the rider is to be told of to leave.
func (m *Proxy) fly(ctx context.Context, repo mirror.Repo, d digest.Digest, who rider) (f *flight, joined bool, err error) {
	stat, err := m.store.StatBlob(ctx, repo, d)
	if err != nil {
		return nil, false, err
	}
	key := flightKey{digest: d, host: repo.Host}
	if !stat.Referenced && !stat.Linked {
		key.repo = repo
	}
	_, net := m.network.get()
	if who == leaves {
		net = mirror.Background(net)
	}
	f, net, fresh := m.flights.join(net, key, repo, who)
	if !fresh {
		if f.repo != repo && !stat.Linked {
			err = m.board(ctx, f, repo)
		}
		if err != nil {
			m.flights.leave(f, who)
			return grounded(key, err), false, nil
		}
		return f, true, nil
	}
	if err = errMisses; m.misses.allow(ctx) {
		err = m.begin()
	}
	if err != nil {
		m.flights.ended(f)
		f.fail(err)
		return f, false, nil
	}
	go m.carryBlob(net, f, repo, d)
	return f, false, nil
}

// board has a flight land for repo as well, whose upstream is that of the flight, if it says that it has the blob there.
func (m *Proxy) board(ctx context.Context, f *flight, repo mirror.Repo) error {
	if _, err := m.askBlob(ctx, repo, f.key.digest); err != nil {
		return err
	}
	if f.lands(repo) {
		return nil
	}
	if err := f.landed(ctx); err != nil {
		return err
	}
	return m.confirmed(repo, f.key.digest)
}

// land is for a flight whose blob the store has, for the repository that it is for.
func (m *Proxy) land(f *flight) {
	for _, repo := range f.close() {
		if err := m.confirmed(repo, f.key.digest); err != nil {
			m.log.Error("a blob that has come cannot be made readable", zap.Stringer("repo", repo), zap.Stringer("blob", f.key.digest), zap.Error(err))
		}
	}
	f.held()
}

// carryBlob carries a flight from its beginning to its end.
func (m *Proxy) carryBlob(net context.Context, f *flight, repo mirror.Repo, d digest.Digest) {
	defer m.work.Done()
	err := m.transferBlob(net, f, repo, d)
	m.flights.ended(f) // first: who tries again after a failure is not to join this one
	log := m.log.With(zap.Stringer("repo", repo), zap.Stringer("blob", d), zap.Error(err))
	switch {
	case err == nil:
		m.blobCame(repo, d)
		m.confirmWanted(repo, d)
		return
	case isStoreFault(err):
		m.logUnkept("a blob cannot be kept: see whether the disk is full; clients get it straight from its upstream until then", err,
			zap.Stringer("repo", repo), zap.Stringer("blob", d))
	case errors.Is(context.Cause(net), errLeft):
		log.Info("transfer ended: what asked for it was stopped")
	default:
		log.Warn("transfer failed")
	}
	f.fail(err)
}
