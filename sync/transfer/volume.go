package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"

	"airmirror/mirror"
)

// Volume describes a volume of a bundle. The concatenated volumes are the bundle.
type Volume struct {
	// Set is the name that all volumes of one bundle, and no others, have: up to 128 characters without control
	// characters.
	Set    string `json:"set"`
	Number int    `json:"number"` // from 1
	Size   int64  `json:"size"`   // in bytes
	More   bool   `json:"more"`   // another volume follows
	// Name and Count are for people: the name of the files without the number, such as plant.tar, and the number of volumes.
	// Both may be unknown.
	Name  string `json:"name,omitempty"`
	Count int    `json:"count,omitempty"`
}

// shown returns the name of the set for people.
func (v *Volume) shown() string { return cmp.Or(v.Name, v.Set) }

func (v *Volume) check() error {
	const maxSet, maxName = 128, 255
	if len(v.Name) > maxName || mirror.Printable(v.Name) != v.Name || v.Count < 0 {
		return mirror.Errorf(mirror.CodeUnsupported, "invalid volume: name %q, %d volumes", v.Name, v.Count)
	}
	if v.Set == "" || len(v.Set) > maxSet || strings.ContainsFunc(v.Set, func(r rune) bool { return r < ' ' }) || v.Number < 1 || v.Size < 1 {
		return mirror.Errorf(mirror.CodeUnsupported, "invalid volume: set %q, number %d, size %d", v.Set, v.Number, v.Size)
	}
	return nil
}

// volumeReader reads a volume and checks its size.
type volumeReader struct {
	r        io.Reader
	size     int64
	count    int64
	complete bool // all of it was read, and nothing follows
}

func (p *volumeReader) Read(b []byte) (int, error) {
	if p.count == p.size {
		return 0, p.end()
	}
	n, err := p.r.Read(b[:min(int64(len(b)), p.size-p.count)])
	p.count += int64(n)
	if err == io.EOF && p.count == p.size {
		p.complete = true
	}
	return n, err
}

func (p *volumeReader) end() error {
	if p.complete {
		return io.EOF
	}
	_, err := io.ReadFull(p.r, make([]byte, 1))
	if err == nil {
		return mirror.Errorf(mirror.CodeSizeInvalid, "the volume is larger than its stated size of %d bytes", p.size)
	}
	p.complete = err == io.EOF
	return err
}

// importVolume imports one volume.
func (in *importer) importVolume(ctx context.Context, body io.Reader) error {
	v := in.req.Volume
	if err := v.check(); err != nil {
		return err
	}
	release, err := in.service.pending.begin(v.Set)
	if err != nil {
		return err
	}
	defer release()
	state, err := in.service.loadState(ctx, v.Set)
	if err != nil {
		return err
	}
	p := &volumeReader{r: body, size: v.Size}
	switch {
	case v.Number == 1 && state.Next > 1:
		return in.importFirstAgain(ctx, state, p)
	case v.Number > 1 && state.Done, v.Number < state.Next:
		in.skipVolume(state)
		return nil
	case v.Number > state.Next:
		return mirror.Errorf(mirror.CodeRangeInvalid, "volume %d cannot be imported yet: import volume %d of %s first", v.Number, state.Next, v.shown())
	}
	return in.importNext(ctx, state, p)
}

// importFirstAgain imports the first volume of a set whose first volume was imported before. It may belong to another
// bundle with the same set name.
func (in *importer) importFirstAgain(ctx context.Context, state *importState, p *volumeReader) error {
	restarted := &importState{Set: state.Set, Next: 1}
	if err := in.openVolume(ctx, restarted, p); err != nil || in.reader == nil {
		return in.explainVolume(err, state, p)
	}
	defer in.reader.Close()
	if in.doc.ID == state.Bundle && !state.Done {
		in.skipVolume(state)
		return nil
	}
	return in.importOpened(ctx, restarted, p)
}

// skipVolume skips a volume that was imported before.
func (in *importer) skipVolume(state *importState) {
	in.SetCurrent("nothing: the volume was imported before")
	in.summary.Known, in.summary.Bundle = true, state.Bundle
	if !state.Done {
		in.requestVolume(state, "")
	}
}

// importNext imports the volume that the import needs next.
func (in *importer) importNext(ctx context.Context, state *importState, p *volumeReader) error {
	if err := in.openVolume(ctx, state, p); err != nil || in.reader == nil {
		return in.explainVolume(err, state, p)
	}
	defer in.reader.Close()
	return in.importOpened(ctx, state, p)
}

// importOpened imports a volume whose document was read.
func (in *importer) importOpened(ctx context.Context, state *importState, p *volumeReader) error {
	document, signature := in.reader.Raw()
	state.Bundle = in.doc.ID
	if err := in.preflight(ctx, document, signature); err != nil {
		if state.Head != "" && !isFault(err) { // only the head was stored before
			err = errors.Join(err, in.service.dropState(ctx, state, nil))
		}
		return err
	}
	if in.req.DryRun {
		return nil
	}
	return in.storeVolume(ctx, state, p)
}

// requestVolume reports which volume is needed next, and the reason if it is not the following one.
func (in *importer) requestVolume(state *importState, reason string) {
	next := &NextVolume{Set: state.Set, Number: state.Next, Reason: reason}
	in.summary.Next = next
	in.report(Event{Kind: KindNext, Next: next})
}

// awaitNext records the progress of the import up to the end of this volume.
func (in *importer) awaitNext(ctx context.Context, state *importState) error {
	state.Starts = append(state.Starts, state.Offset)
	state.Offset += in.req.Volume.Size
	state.NewBytes += in.newBytes()
	state.Next++
	if err := in.service.saveState(ctx, state, in.doc); err != nil {
		return err
	}
	in.requestVolume(state, "")
	return nil
}

// storeVolume stores the content of a volume.
func (in *importer) storeVolume(ctx context.Context, state *importState, p *volumeReader) error {
	if len(in.missing) > 0 {
		in.split = &split{end: state.Offset + p.size, more: in.req.Volume.More, before: state.Part}
		err := in.receive(ctx)
		if errors.Is(err, io.ErrUnexpectedEOF) && in.split.more && p.complete {
			return in.suspend(ctx, state)
		}
		if err != nil {
			dropped := in.split.drop() // before the state that it continues is dropped
			return errors.Join(in.explainVolume(err, state, p), dropped)
		}
	}
	if err := in.finish(ctx); in.invalid {
		return in.explainVolume(err, state, p)
	} else if err != nil {
		return err
	}
	in.release()
	in.earlierBytes = state.NewBytes
	return in.service.endState(ctx, state)
}

// suspend saves what the import of the next volume needs.
func (in *importer) suspend(ctx context.Context, state *importState) error {
	if state.Document == "" {
		if err := in.storeDocument(ctx, state); err != nil {
			return errors.Join(err, in.split.drop())
		}
	}
	state.Part = nil
	if after := in.split.after; after != nil {
		part, err := after.SuspendPartial()
		if err != nil {
			return err
		}
		state.Part = &partialEntry{after.Digest(), part}
	}
	return in.awaitNext(ctx, state)
}

// explainVolume returns the error for a volume with what to do about it. A bundle that contradicts itself is dropped.
// If an entry of several volumes is damaged, the import continues with the volume in which the entry begins.
func (in *importer) explainVolume(err error, state *importState, p *volumeReader) error {
	ctx := context.Background()
	var restart *restartError
	switch v := in.req.Volume; {
	case err == nil:
		return nil
	case in.invalid:
		in.release()
		return errors.Join(err, in.service.dropState(ctx, state, in.doc))
	case errors.As(err, &restart):
		state.rewind(restart.from)
		if saved := in.service.saveState(ctx, state, in.doc); saved != nil {
			return errors.Join(err, saved)
		}
		in.requestVolume(state, err.Error())
		return mirror.Errorf(mirror.CodeRangeInvalid, "volume %d of %s is needed again, and those after it: %w", state.Next, v.shown(), err)
	case errors.Is(err, io.ErrUnexpectedEOF) && p.count < p.size:
		return mirror.Errorf(mirror.CodeUnavailable, "volume %d of %s ended after %d of its %d bytes: send it again", v.Number, v.Set, p.count, p.size)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return mirror.Errorf(mirror.CodeBundleInvalid, "volume %d of %s was sent as the last one, and the bundle is not complete: %w", v.Number, v.Set, err)
	case isInvalid(err):
		return mirror.Errorf(mirror.CodeRangeInvalid, "volume %d of %s is damaged before byte %d: copy it again: %w", v.Number, v.Set, p.count, err)
	}
	return err
}
