package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// tagName is a tag in a repository, for maps in memory.
type tagName struct {
	repo mirror.Repo
	tag  string
}

func (t tagName) key() string    { return key(t.repo.String(), t.tag) }
func (t tagName) String() string { return mirror.Ref{Repo: t.repo, Tag: t.tag}.String() }

func errManifestUnknown(repo mirror.Repo, d digest.Digest) *mirror.Error {
	return mirror.Errorf(mirror.CodeManifestUnknown, "manifest %s is not held in %s", d, repo)
}

func errTagUnknown(name tagName) *mirror.Error {
	return mirror.Errorf(mirror.CodeManifestUnknown, "%s has no tag %s", name.repo, name.tag)
}

// Manifest implements [mirror.ManifestStore]. The bytes are shared with other callers and must not be changed.
func (s *Store) Manifest(ctx context.Context, repo mirror.Repo, d digest.Digest) (m mirror.Manifest, err error) {
	c := content{repo, d}
	err = s.recordUse(ctx, c, func() (bool, error) {
		var found bool
		var generation uint64
		if m, found, generation = s.manifests.get(c); found {
			return true, nil
		}
		var err error
		if m, err = s.loadManifest(ctx, c); err != nil {
			return false, err
		}
		if len(m.Bytes) <= maxCachedManifest {
			s.manifests.add(c, m, generation)
		}
		return true, nil
	})
	if err != nil {
		return mirror.Manifest{}, explain(err, "read manifest %s of %s", d, repo)
	}
	return m, nil
}

func (s *Store) loadManifest(ctx context.Context, c content) (mirror.Manifest, error) {
	record, err := s.manifestRecord(ctx, c)
	if err != nil {
		return mirror.Manifest{}, err
	}
	read := func(ctx context.Context) ([]byte, error) { return s.readManifest(ctx, c.digest, record.Size) }
	var data []byte
	if record.Size > maxCachedManifest {
		data, err = s.large.get(ctx, c.digest, read)
	} else {
		data, err = read(ctx)
	}
	if err != nil {
		if _, err := s.manifestRecord(ctx, c); err != nil { // it was collected in between
			return mirror.Manifest{}, err
		}
		return mirror.Manifest{}, err
	}
	return mirror.Manifest{MediaType: record.MediaType, Digest: c.digest, Bytes: data, Origin: record.Origin}, nil
}

func (s *Store) manifestRecord(ctx context.Context, c content) (record manifestRecord, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) (err error) {
		var found bool
		record, found, err = getRecord[manifestRecord](tx, tableManifests, c.key())
		if err == nil && !found {
			return errManifestUnknown(c.repo, c.digest)
		}
		return err
	})
	return record, err
}

// readManifest reads the file of a manifest, and checks it: that costs little next to opening it, and what is read here
// is believed for as long as it stays in memory. If the file is missing or damaged, the cause of the error is a
// [mirror.DefectError].
func (s *Store) readManifest(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	blob, err := s.blobs.Open(ctx, d)
	if err == nil {
		defer blob.Close()
	}
	defect, err := blobRecord{Size: size}.compare(d, blob.Size, err)
	if err != nil {
		return nil, err
	}
	if defect.Reason == "" {
		data, err := readVerifiedBlob(blob, d)
		found := mirror.DefectOf(err)
		if found == nil {
			return data, err
		}
		defect = *found
	}
	defect.Digest, defect.Manifest = d, true
	return nil, newDefectError(mirror.CodeManifestUnknown, "manifest "+d.String(), defect)
}

// readVerifiedBlob reads a blob that is small, and verifies it. If it is damaged, the cause of the error is a
// [mirror.DefectError].
func readVerifiedBlob(blob mirror.Blob, d digest.Digest) ([]byte, error) {
	defect := mirror.Defect{Kind: mirror.Damaged, Digest: d, Size: blob.Size}
	data := make([]byte, blob.Size)
	_, err := io.ReadFull(blob, data)
	switch {
	case errors.Is(err, syscall.EIO) || errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF:
		defect.Reason = fmt.Sprintf("it is damaged: its file cannot be read: %v", err)
	case err != nil:
		return nil, err
	case d.Algorithm().FromBytes(data) != d:
		defect.Reason = "it is damaged: the content of its file has another digest"
	default:
		return data, nil
	}
	return nil, newDefectError(mirror.CodeBlobUnknown, "blob "+d.String(), defect)
}

// Tag implements [mirror.ManifestStore].
func (s *Store) Tag(ctx context.Context, repo mirror.Repo, tag string) (mirror.Tag, error) {
	name := tagName{repo, tag}
	t, found, generation := s.tags.get(name)
	if found {
		return t, nil
	}
	t, err := s.loadTag(ctx, name)
	if err != nil {
		return mirror.Tag{}, explain(err, "look up %s:%s", repo, tag)
	}
	s.tags.add(name, t, generation)
	return t, nil
}

func (s *Store) loadTag(ctx context.Context, name tagName) (t mirror.Tag, err error) {
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		record, found, err := getRecord[tagRecord](tx, tableTags, name.key())
		if err == nil && !found {
			return errTagUnknown(name)
		}
		t = mirror.Tag(record)
		return err
	})
	return t, err
}

// Revalidated implements [mirror.ManifestStore]. It does nothing where the tag points elsewhere by now, is gone or was
// pushed: then it is no longer the upstream's to confirm. A stored time that is later than now is replaced by an earlier one.
func (s *Store) Revalidated(ctx context.Context, repo mirror.Repo, tag string, d digest.Digest, at time.Time) error {
	name := tagName{repo, tag}
	defer s.tags.beginWrite(name)()
	err := s.index.Update(ctx, func(tx backend.WriteTx) error {
		record, found, err := getRecord[tagRecord](tx, tableTags, name.key())
		if err != nil || !found || record.Digest != d || record.Origin == mirror.Pushed ||
			!at.After(record.Checked) && !record.Checked.After(s.Now()) {
			return err
		}
		record.Checked = at.UTC().Round(0)
		return setTag(tx, name, d, record)
	})
	return explain(err, "note that %s was confirmed", name)
}

// DeleteTag implements [mirror.ManifestStore].
func (s *Store) DeleteTag(ctx context.Context, repo mirror.Repo, tag string) error {
	name := tagName{repo, tag}
	defer s.tags.beginWrite(name)()
	err := s.index.Update(ctx, func(tx backend.WriteTx) error {
		record, found, err := getRecord[tagRecord](tx, tableTags, name.key())
		if err != nil {
			return err
		}
		if !found {
			return errTagUnknown(name)
		}
		return deleteTag(tx, name, record.Digest)
	})
	return explain(err, "delete %s", name)
}
