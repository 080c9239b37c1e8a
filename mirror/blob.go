package mirror

import (
	"context"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
)

// Blob opens blob d of repo: the held one or, on a miss, the flight that brings it, which reads as far as the transfer
// has come. A flight's reader fails where the transfer fails, and before its last byte if the bytes turn out wrong.
// Reads end with ctx. [CodeBlobUnknown] says in its message why there is none.
func (m *Mirror) Blob(ctx context.Context, repo Repo, d digest.Digest) (Blob, error) {
	blob, err := m.store.Blob(ctx, repo, d)
	if CodeOf(err) != CodeBlobUnknown {
		return blob, err
	}
	if long, ok := m.longName(ctx, repo); ok {
		return m.Blob(ctx, long, d)
	}
	ref := Ref{Repo: repo, Digest: d}
	if err := m.mayAsk(ctx, repo); err != nil {
		return Blob{}, m.missed(ctx, CodeBlobUnknown, ref, err)
	}
	if err, ok := m.unknown.Get(unknownBlob(ref)); ok {
		return Blob{}, m.missed(ctx, CodeBlobUnknown, ref, err)
	}
	f, err := m.fly(ctx, repo, d)
	if err != nil {
		return Blob{}, err
	}
	m.pulledBlob(ctx, repo, d)
	switch state, size, err := f.departed(ctx); {
	case err != nil && ctx.Err() != nil:
		return Blob{}, err
	case isStoreFault(err):
		return m.straight(ctx, repo, d, 0)
	case err != nil:
		m.remember(unknownBlob(ref), err)
		return Blob{}, m.missed(ctx, CodeBlobUnknown, ref, err)
	case state == flightHeld:
		return m.store.Blob(ctx, repo, d)
	default:
		return f.tail(ctx, size, func(off int64) (Blob, error) { return m.straight(ctx, repo, d, off) })
	}
}

// unknownBlob is what a blob that does not exist is remembered by. There may be a manifest of that digest all the same.
func unknownBlob(ref Ref) string { return "blob " + ref.String() }

// pulledBlob has the images completed that a client fetches a blob of.
func (m *Mirror) pulledBlob(ctx context.Context, repo Repo, d digest.Digest) {
	if images, _ := m.opts.Complete(repo); !images {
		return
	}
	manifests, err := m.store.Awaiting(ctx, repo, d)
	if err != nil {
		m.log.Error("cannot tell which image is pulled", zap.Stringer("blob", d), zap.Error(err))
	}
	for _, manifest := range manifests {
		m.complete(Ref{Repo: repo, Digest: manifest})
	}
}

// StatBlob returns the size of blob d of repo in bytes. For a blob that a mirrored manifest announced and that is not
// here yet it asks the upstream. It does not for a digest that nobody named in repo: those are the questions of clients
// that push, which wait for no upstream. [CodeBlobUnknown] says in its message why there is none.
func (m *Mirror) StatBlob(ctx context.Context, repo Repo, d digest.Digest) (int64, error) {
	stat, err := m.store.StatBlob(ctx, repo, d)
	switch {
	case err != nil:
		return 0, err
	case stat.Held && stat.Linked:
		return stat.Size, nil
	}
	if long, ok := m.longName(ctx, repo); ok {
		return m.StatBlob(ctx, long, d)
	}
	if !stat.Awaited {
		return 0, Errorf(CodeBlobUnknown, "blob %s is not held in %s", d, repo)
	}
	ref := Ref{Repo: repo, Digest: d}
	if err := m.mayAsk(ctx, repo); err != nil {
		return 0, m.missed(ctx, CodeBlobUnknown, ref, err)
	}
	_, net := m.network.get()
	asking, cancel := context.WithCancel(net)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	size, err := m.upstream.StatBlob(asking, repo, d)
	if err != nil {
		return 0, m.missed(ctx, CodeBlobUnknown, ref, err)
	}
	return size, nil
}

// fly returns the flight that brings d to repo, a new one if none is under way. Repositories whose manifests announce
// the same blob share a flight; one that merely asks for it has its own, in which the upstream says whether it is there.
func (m *Mirror) fly(ctx context.Context, repo Repo, d digest.Digest) (*flight, error) {
	stat, err := m.store.StatBlob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	key := flightKey{digest: d}
	if !stat.Linked {
		key.repo = repo
	}
	f, fresh := m.flights.join(key)
	if !fresh {
		return f, nil
	}
	if err := m.begin(); err != nil {
		m.flights.leave(key)
		f.fail(err)
		return f, nil
	}
	go func() {
		defer m.work.Done()
		defer m.flights.leave(key)
		if err := m.transferBlob(f, repo, d, stat); err != nil {
			f.fail(err)
			m.log.Warn("transfer failed", zap.Stringer("repo", repo), zap.Stringer("blob", d), zap.Error(err))
			return
		}
		m.wants.fulfilled(repo, d)
	}()
	return f, nil
}

// transferBlob carries d from the upstream into the store, and what arrives to the readers of f.
func (m *Mirror) transferBlob(f *flight, repo Repo, d digest.Digest, stat BlobStat) error {
	// The flight before this one may have landed between the miss and now.
	now, err := m.store.StatBlob(m.ctx, repo, d)
	if err != nil {
		return err
	}
	if now.Held && now.Linked {
		f.held()
		return nil
	}
	_, net := m.network.get()
	if now.Held { // another repository has it: only the right to read it is missing, and the upstream gives that
		if _, err := m.upstream.StatBlob(net, repo, d); err != nil {
			return err
		}
		if _, err := m.store.Mount(m.ctx, repo, Repo{}, d); err == nil {
			f.held()
			return nil
		}
	}
	body, size, err := m.upstream.Blob(net, repo, d)
	if err != nil {
		return err
	}
	defer body.Close()
	if stat.Awaited {
		if size >= 0 && size != stat.Size {
			return Errorf(CodeUnavailable, "the upstream sends %d bytes, the manifest says %d", size, stat.Size)
		}
		size = stat.Size
	}
	in, err := m.store.Receive(m.ctx, d)
	if err != nil {
		return &storeFault{err}
	}
	defer in.Abort()
	f.depart(in, size)
	if err := f.carry(body); err != nil {
		return err
	}
	if err := in.Verify(); err != nil {
		return err
	}
	f.verified()
	if err := in.Commit(m.ctx, repo); err != nil {
		return &storeFault{err}
	}
	f.held()
	return nil
}
