package proxy

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Blob opens blob d of repo: the held one or, on a miss, the flight that brings it, which reads as far as the transfer
// has come. A flight's reader fails where the transfer fails, and before its last byte if the bytes turn out wrong. Its
// size is -1 if the upstream does not say it; the reader then has a method Whole that waits for it. It also has a method
// Expect, for a client that asks for spans of the blob. Reads end with ctx.
// [mirror.CodeBlobUnknown] says in its message why there is none.
func (m *Proxy) Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error) {
	blob, err := m.store.Blob(ctx, repo, d)
	if err == nil {
		blob, err = m.served(ctx, repo, d, blob)
	}
	if mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		m.counters.blobs.held(err)
		return blob, err
	}
	lost := m.heal(repo, err)
	if long, ok := m.longName(ctx, repo); ok {
		return m.Blob(ctx, long, d)
	}
	m.counters.blobs.misses.Add(1)
	ref := mirror.Ref{Repo: repo, Digest: d}
	missed := func(why error) error {
		return m.missed(ctx, mirror.CodeBlobUnknown, ref, m.lostBlob(ctx, ref, lost, why))
	}
	if err := m.mayAsk(ctx, repo); err != nil {
		return mirror.Blob{}, missed(err)
	}
	if err, ok := m.unknown.Get(unknownBlob(ref)); ok {
		return mirror.Blob{}, missed(err)
	}
	f, joined, err := m.fly(ctx, repo, d, stays)
	if err != nil {
		return mirror.Blob{}, err
	}
	m.pulledBlob(ctx, repo, d)
	state, size, err := f.departed(ctx)
	if err != nil && joined && ctx.Err() == nil { // it may have been doomed before this client came
		m.flights.leave(f, stays)
		if f, _, err = m.fly(ctx, repo, d, stays); err != nil {
			return mirror.Blob{}, err
		}
		state, size, err = f.departed(ctx)
	}
	leave := func() { m.flights.leave(f, stays) }
	if err == nil && state != flightHeld {
		return f.tail(ctx, size, beside{
			straight: func(off int64) (mirror.Blob, error) { return m.straight(ctx, repo, d, off) },
			part:     func(ctx context.Context, s mirror.Span) (io.ReadCloser, error) { return m.part(ctx, repo, d, s, size) },
		}, leave)
	}
	leave()
	switch {
	case err != nil && ctx.Err() != nil:
		return mirror.Blob{}, err
	case isStoreFault(err):
		return m.straight(ctx, repo, d, 0)
	case err != nil:
		m.remember(unknownBlob(ref), err)
		return mirror.Blob{}, missed(err)
	default:
		return m.store.Blob(ctx, repo, d)
	}
}

// unknownBlob is what a blob that does not exist is remembered by. There may be a manifest of that digest all the same.
func unknownBlob(ref mirror.Ref) string { return "blob " + ref.String() }

// pulledBlob has the images completed that a client fetches a blob of.
func (m *Proxy) pulledBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) {
	if images, _ := m.opts.Backfill(repo); !images {
		return
	}
	manifests, err := m.store.ReferencedBy(ctx, repo, d)
	if err != nil {
		m.log.Error("cannot tell which image is pulled", zap.Stringer("blob", d), zap.Error(err))
	}
	for _, manifest := range manifests {
		m.complete(ctx, mirror.Ref{Repo: repo, Digest: manifest})
	}
}

// StatBlob returns the size of blob d of repo in bytes. For a blob that is not here yet it asks the upstream if somebody
// pulls it: if a mirrored manifest announced it, or if it was just asked for as a manifest and the upstream said that it
// is none, as containerd looks for what a digest is. About any other digest it asks nobody, though the upstream may have
// it and [Proxy.Blob] would fetch it: those are the questions of clients that push, which wait for no upstream, and which
// would leave out the blobs that only the upstream has. [mirror.CodeBlobUnknown] says in its message why there is none.
func (m *Proxy) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	stat, err := m.statFile(ctx, repo, d)
	switch {
	case err != nil:
		return 0, err
	case stat.Stored && stat.Linked:
		return stat.Size, nil
	}
	if long, ok := m.longName(ctx, repo); ok {
		return m.StatBlob(ctx, long, d)
	}
	ref := mirror.Ref{Repo: repo, Digest: d}
	if _, noManifest := m.unknown.Get(ref.String()); !stat.Referenced && !noManifest {
		return 0, mirror.Errorf(mirror.CodeBlobUnknown, "blob %s is not held in %s", d, repo)
	}
	if err := m.mayAsk(ctx, repo); err != nil {
		return 0, m.missed(ctx, mirror.CodeBlobUnknown, ref, m.lostBlob(ctx, ref, nil, err))
	}
	if err, ok := m.unknown.Get(unknownBlob(ref)); ok {
		return 0, m.missed(ctx, mirror.CodeBlobUnknown, ref, err)
	}
	size, err := m.askBlob(ctx, repo, d)
	switch {
	case err == nil:
		return size, nil
	case ctx.Err() != nil: // who has gone wants nothing
		return 0, ctx.Err()
	}
	m.remember(unknownBlob(ref), err)
	return 0, m.missed(ctx, mirror.CodeBlobUnknown, ref, err)
}

// statFile is [mirror.BlobStore.StatBlob] for who relies on what it says: it looks for the file as well, and a small one is
// verified. What is missing or damaged is not held from then on.
func (m *Proxy) statFile(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.BlobStat, error) {
	stat, err := m.store.StatBlob(ctx, repo, d)
	if err != nil || !stat.Stored || !stat.Linked {
		return stat, err
	}
	if m.sound(ctx, repo, d) {
		return stat, nil
	}
	return m.store.StatBlob(ctx, repo, d)
}

// sound looks for the file of a blob that is held, and verifies a small one. It reports whether that is right; what is
// missing or damaged is not held from then on.
func (m *Proxy) sound(ctx context.Context, repo mirror.Repo, d digest.Digest) bool {
	size, err := m.store.StatContent(ctx, d)
	if err == nil && size <= smallBlob {
		err = m.store.Verify(ctx, d)
	}
	return m.heal(repo, err) == nil
}

// transferBlob carries d from the upstream into the store, and what arrives to the readers of f, until net ends.
func (m *Proxy) transferBlob(net context.Context, f *flight, repo mirror.Repo, d digest.Digest) error {
	// The flight before this one may have landed between the miss and now, be it for another repository.
	if m.opens(repo, d) {
		m.land(f)
		return nil
	}
	stat, err := m.store.StatBlob(mirror.WithoutUsage(m.ctx), repo, d)
	if err != nil {
		return &storeFault{err}
	}
	if err := m.room(max(0, stat.Size)); err != nil {
		return &storeFault{err}
	}
	if stat.Confirmable { // only the right to read it is missing, and the upstream gives that
		if err := m.confirm(net, repo, d); err != nil && !isStoreFault(err) {
			return err
		}
		if m.opens(repo, d) {
			m.land(f)
			return nil
		}
	}
	body, size, err := m.upstream.Blob(net, repo, d)
	if err != nil {
		return err
	}
	defer body.Close()
	if stat.Required { // the size of what is merely named is nobody's word to be relied on
		if size >= 0 && size != stat.Size {
			return mirror.Errorf(mirror.CodeUnavailable, "the upstream sends %d bytes, the manifest says %d", size, stat.Size)
		}
		size = stat.Size
	}
	if err := m.opts.CheckCapacity(max(size, 0)); err != nil {
		return &storeFault{err}
	}
	in, err := m.store.Receive(m.ctx, d)
	if err != nil {
		return &storeFault{err}
	}
	defer in.Abort()
	f.depart(in, size)
	if err := f.carry(body, m.opts.CheckCapacity); err != nil {
		return err
	}
	if err := in.Verify(); err != nil {
		return err
	}
	f.verified()
	if err := in.Commit(m.ctx, repo); err != nil {
		return &storeFault{err}
	}
	m.land(f)
	return nil
}

// askBlob asks the upstream of repo for the size of d, until ctx or the network ends.
func (m *Proxy) askBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (int64, error) {
	_, net := m.network.get()
	if mirror.IsBackground(ctx) {
		net = mirror.Background(net)
	}
	asking, cancel := context.WithCancel(net)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return m.upstream.StatBlob(asking, repo, d)
}

// confirm makes d readable in repo if the upstream of that, which has sent it before, says that it is there as well.
func (m *Proxy) confirm(ctx context.Context, repo mirror.Repo, d digest.Digest) error {
	if _, err := m.askBlob(ctx, repo, d); err != nil {
		return err
	}
	return m.confirmed(repo, d)
}

// confirmed makes d readable in repo, whose upstream has said that it is there.
func (m *Proxy) confirmed(repo mirror.Repo, d digest.Digest) error {
	if err := m.store.Confirm(m.ctx, repo, d); err != nil {
		return &storeFault{err}
	}
	return nil
}

// opens reports whether a blob is there to be read. What the index says is not enough: a file that was lost or damaged is
// fetched again.
func (m *Proxy) opens(repo mirror.Repo, d digest.Digest) bool {
	blob, err := m.store.Blob(mirror.WithoutUsage(m.ctx), repo, d)
	if err != nil {
		return false
	}
	blob.Close()
	return true
}
