package objects

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Create implements [backend.Blobs]. An upload with a label is in the index from now on.
func (o *Objects) Create(ctx context.Context, algorithm digest.Algorithm, label string) (backend.Writer, error) {
	if !mirror.ValidAlgorithm(algorithm) {
		return nil, mirror.Errorf(mirror.CodeDigestInvalid, "digest algorithm %q is not supported: use sha256 or sha512", algorithm)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &writer{objects: o, id: uuid.NewString(), label: label, algorithm: algorithm, hash: algorithm.Hash()}
	w.written.Store(time.Now().UnixNano())
	w.row = uploadRow{Algorithm: algorithm, Label: []byte(label)}
	if label != "" {
		if err := w.saveRow(w.row, nil); err != nil {
			return nil, fmt.Errorf("create a blob: %w", err)
		}
	}
	o.setActive(w)
	return w, nil
}

func (o *Objects) setActive(w *writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active[w.id] = w
}

// upload returns the row of an upload, or [mirror.CodeBlobUploadUnknown].
func (o *Objects) upload(ctx context.Context, id string) (row uploadRow, err error) {
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return row, mirror.Errorf(mirror.CodeBlobUploadUnknown, "blob upload unknown")
	}
	found := false
	err = o.index.View(ctx, func(tx backend.ReadTx) (err error) {
		row, found, err = getRow[uploadRow](tx, tableUploads, id)
		return err
	})
	switch {
	case err != nil:
		return row, fmt.Errorf("resume blob upload %s: %w", id, err)
	case !found || !row.resumable():
		return row, errUploadUnknown(id)
	}
	return row, nil
}

// Resume implements [backend.Blobs]. It reads no content.
func (o *Objects) Resume(ctx context.Context, id string) (backend.Writer, error) {
	row, err := o.upload(ctx, id)
	if err != nil {
		return nil, err
	}
	if row.Partial {
		return nil, errUploadUnknown(id)
	}
	state := uploadState{}
	if len(row.States) > 0 {
		state = row.States[len(row.States)-1]
	}
	return o.resume(id, row, state)
}

// ResumeBlob implements [backend.Blobs].
func (o *Objects) ResumeBlob(ctx context.Context, partial mirror.PartialBlob) (backend.Writer, error) {
	row, err := o.upload(ctx, partial.ID)
	if err != nil {
		return nil, err
	}
	state, found := row.stateAt(partial)
	if !row.Partial || row.Algorithm != partial.Algorithm || !found {
		return nil, mirror.Errorf(mirror.CodeBlobUploadUnknown, "partial blob %.100q is no longer stored", partial.ID)
	}
	w, err := o.resume(partial.ID, row, state)
	if err != nil {
		return nil, err
	}
	w.partial = true
	return w, nil
}

// stateAt returns the state of a partial blob at a size. If it has none, it is made of a longer one without parts.
func (u *uploadRow) stateAt(partial mirror.PartialBlob) (state uploadState, found bool) {
	i := slices.IndexFunc(u.States, func(s uploadState) bool { return s.Size == partial.Size })
	if i >= 0 {
		return u.States[i], true
	}
	i = slices.IndexFunc(u.States, func(s uploadState) bool { return s.Parts == 0 && partial.Size >= 0 && s.RestSize >= partial.Size })
	if i < 0 {
		return state, false
	}
	state = u.States[i]
	state.Size, state.Hash = partial.Size, partial.Hash
	return state, true
}

// resume returns a writer that goes on after a state.
func (o *Objects) resume(id string, row uploadRow, state uploadState) (*writer, error) {
	if !mirror.ValidAlgorithm(row.Algorithm) {
		return nil, errUploadUnknown(id)
	}
	w := &writer{objects: o, id: id, label: string(row.Label), algorithm: row.Algorithm, hash: row.Algorithm.Hash(), row: row, saved: true}
	w.size.Store(state.Size)
	w.written.Store(row.Written.UnixNano())
	w.rest, w.resumed = &state, state.Size
	for _, p := range row.Parts[:min(state.Parts, len(row.Parts))] {
		w.parts, w.sent = append(w.parts, &p), w.sent+p.Size
	}
	w.spool = o.takeKept(id, row.Generation, state.Size)
	if err := w.restoreHash(state); err != nil {
		w.close(false)
		return nil, fmt.Errorf("resume blob upload %s: %w", id, err)
	}
	o.setActive(w)
	return w, nil
}

// restoreHash restores the state of the hash. If that is impossible, as for another version of Go, it hashes the content again.
func (w *writer) restoreHash(state uploadState) error {
	if state.Size == 0 || len(state.Hash) > 0 && w.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state.Hash) == nil {
		return nil
	}
	w.hash.Reset()
	s, err := w.open()
	if err != nil {
		return err
	}
	if s.from > 0 {
		return errElsewhere
	}
	_, err = io.Copy(w.hash, s.section(0, state.Size))
	return err
}

// Uncommit implements [backend.Blobs]. The partial blob can be resumed at each size, since its object has all bytes.
func (o *Objects) Uncommit(ctx context.Context, d digest.Digest, id string) error {
	if _, err := mirror.ParseDigest(d.String()); err != nil {
		return err
	}
	locks := backend.Locks{Exclusive: []string{lockedDigest(d), lockedUpload(id)}}
	err := o.index.Update(ctx, locks, func(tx backend.WriteTx) error {
		row, found, err := getRow[objectRow](tx, tableObjects, d.String())
		if err != nil || !found || uuid.Validate(id) != nil {
			return err
		}
		now := time.Now().UTC()
		upload := uploadRow{Algorithm: d.Algorithm(), Partial: true, Written: now, Generation: uuid.NewString()}
		upload.States = []uploadState{{Size: row.Size, Rest: row.content, RestSize: row.Size}}
		return errors.Join(putRow(tx, tableUploads, id, upload), tx.Delete(tableObjects, d.String()))
	})
	return explain(err, "uncommit", d)
}

// Unfinished implements [backend.Blobs]. Sizes and times of what another node receives are those of its last suspension.
func (o *Objects) Unfinished(ctx context.Context) iter.Seq2[backend.UnfinishedBlob, error] {
	return func(yield func(backend.UnfinishedBlob, error) bool) {
		for row, err := range o.rows(ctx, tableUploads) {
			if err != nil {
				yield(backend.UnfinishedBlob{}, fmt.Errorf("list blob uploads: %w", err))
				return
			}
			upload, err := decodeRow[uploadRow](tableUploads, row.key, row.value)
			if err == nil && !upload.resumable() {
				continue
			}
			if !yield(o.describe(row.key, upload), err) {
				return
			}
		}
	}
}

func (o *Objects) describe(id string, row uploadRow) backend.UnfinishedBlob {
	blob := backend.UnfinishedBlob{ID: id, Label: string(row.Label), Size: row.size(), Written: row.Written}
	o.mu.Lock()
	defer o.mu.Unlock()
	if w := o.active[id]; w != nil {
		blob.Size, blob.Written = w.Size(), time.Unix(0, w.written.Load())
	}
	return blob
}

// Discard implements [backend.Blobs].
func (o *Objects) Discard(ctx context.Context, id string, expired func(written time.Time) bool) (discarded bool, err error) {
	if uuid.Validate(id) != nil {
		return false, nil
	}
	err = o.index.Update(ctx, backend.Locks{Exclusive: []string{lockedUpload(id)}}, func(tx backend.WriteTx) error {
		discarded = false
		row, found, err := getRow[uploadRow](tx, tableUploads, id)
		if err != nil || !found || !row.resumable() || !expired(row.Written) {
			return err
		}
		discarded = true
		return discardUpload(tx, id, row, "")
	})
	if err != nil {
		return false, fmt.Errorf("discard blob upload %s: %w", id, err)
	}
	if discarded {
		if s := o.takeKept(id, "", 0); s != nil {
			s.drop()
		}
	}
	return discarded, nil
}
