package cache

import (
	"bytes"
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// addFiles adds every file whose content has its digest.
func (r *rebuild) addFiles() error {
	var total int64
	for entry, err := range r.files() {
		if err != nil {
			return err
		}
		total += entry.Size
	}
	r.sources.Progress.AddTotal(total)
	data := make([]byte, mirror.MaxCheckRead)
	for entry, err := range r.files() {
		if err != nil {
			return err
		}
		r.sources.Progress.SetCurrent(entry.Digest.String())
		platform, reason, err := r.checkFile(entry, data)
		if err != nil {
			return err
		}
		if reason == "" {
			err = r.addBlob(entry, platform)
		} else {
			r.event(RebuildDamaged, "", entry.Digest, reason)
		}
		if err != nil {
			return err
		}
		r.sources.Progress.AddDone(entry.Size)
	}
	return nil
}

// files yields all files, with their sizes.
func (r *rebuild) files() iter.Seq2[backend.StoredBlob, error] {
	return func(yield func(backend.StoredBlob, error) bool) {
		for d, err := range r.blobs.All(r.ctx) {
			var file backend.StoredBlob
			if err == nil {
				file, err = r.blobs.Describe(r.ctx, d)
			}
			if !yield(file, err) {
				return
			}
		}
	}
}

// checkFile reads a file that may be a manifest or is to be verified. platform is what it states as a config, or "".
// reason is not "" if the file was damaged and moved to the quarantine.
func (r *rebuild) checkFile(entry backend.StoredBlob, data []byte) (platform, reason string, err error) {
	small := entry.Size <= mirror.MaxManifestSize
	if r.sources.Fast && !small {
		return "", "", nil
	}
	_, err = r.blobs.Quarantine(r.ctx, entry.Digest, func(blob mirror.Blob) (_ string, err error) {
		var content bytes.Buffer
		if small {
			blob.ReadSeekCloser = tee{blob.ReadSeekCloser, &content}
		}
		reason, err = backend.CheckContent(r.ctx, blob, entry.Digest, data, func(context.Context, int) error { return nil })
		if small && reason == "" && err == nil {
			r.inspect(entry.Digest, content.Bytes())
			platform = platformOf(content.Bytes())
		}
		return reason, err
	})
	return platform, reason, err
}

// tee writes to w what is read of a blob.
type tee struct {
	io.ReadSeekCloser
	w io.Writer
}

func (t tee) Read(p []byte) (int, error) {
	n, err := t.ReadSeekCloser.Read(p)
	_, _ = t.w.Write(p[:n]) // a buffer never returns an error
	return n, err
}

// inspect remembers a file that is a manifest of a known type, or that declares the type of a manifest. Other manifests
// are found only by their names in the sources.
func (r *rebuild) inspect(d digest.Digest, data []byte) {
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return
	}
	mediaType, refs, err := mirror.ParseManifest("", data)
	if err != nil || !mirror.LooksLikeManifest(mediaType) {
		return
	}
	manifest := foundManifest{mediaType: mediaType}
	if refs.Subject != nil {
		manifest.subject = refs.Subject.Digest
	}
	r.found[d] = manifest
	for role, desc := range refs.Owned() {
		if role >= mirror.RoleManifest { // it may be a manifest
			r.parents[desc.Digest] = append(r.parents[desc.Digest], d)
		}
	}
}

// addBlob adds the entry of a file, with the time in the source indexes.
func (r *rebuild) addBlob(entry backend.StoredBlob, platform string) error {
	record := blobRecord{Size: entry.Size, Added: r.now(), Platform: platform}
	for _, from := range r.indexes {
		var old blobRecord
		err := from.View(r.ctx, func(tx backend.ReadTx) (err error) {
			if old, _, err = getRecord[blobRecord](tx, tableBlobs, entry.Digest.String()); err != nil {
				r.reportEntry(from, tableBlobs, entry.Digest.String(), err.Error()+"; the time when it was added is lost")
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !old.Added.IsZero() {
			record.Added = old.Added
			break
		}
	}
	return r.add(step{
		do:    func(tx backend.WriteTx) error { return putRecord(tx, tableBlobs, entry.Digest.String(), record) },
		after: func() { r.summary.Files++; r.summary.Bytes += record.Size },
	})
}
