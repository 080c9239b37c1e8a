package cache

import (
	"context"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// Summaries implements [mirror.Catalog]. It reads one view of the index, and then the sizes of the files, each once.
func (s *Store) Summaries(ctx context.Context, refs []mirror.Ref) ([]mirror.Summary, error) {
	m := &summarizer{Store: s, ctx: ctx, list: make([]mirror.Summary, len(refs)), files: make(map[digest.Digest]*summaryFile)}
	images := make([]summaryImage, len(refs))
	err := s.index.View(ctx, func(tx backend.ReadTx) error {
		clear(m.files)
		for i, ref := range refs {
			m.list[i], images[i] = mirror.Summary{}, summaryImage{}
			m.list[i].Err = m.read(tx, ref, &m.list[i], &images[i])
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, explain(err, "summarize images")
	}
	for i := range m.list {
		if images[i].plain {
			m.measure(&m.list[i], images[i])
		}
	}
	return m.list, ctx.Err()
}

// summarizer is one call of [Store.Summaries].
type summarizer struct {
	*Store
	ctx   context.Context
	list  []mirror.Summary
	files map[digest.Digest]*summaryFile
}

// summaryFile is a file of images, which often share some.
type summaryFile struct {
	record blobRecord
	stored bool // it is in the index
	intact *bool
}

// summaryImage is what an image consists of, if it is plain.
type summaryImage struct {
	plain bool
	blobs []summaryBlob
}

// summaryBlob is a blob of an image.
type summaryBlob struct {
	digest   digest.Digest
	readable bool  // the repository may read it
	size     int64 // according to the manifest, if it is not stored
}

// read reads what the index says about a reference.
func (m *summarizer) read(tx backend.ReadTx, ref mirror.Ref, sum *mirror.Summary, image *summaryImage) error {
	c := content{ref.Repo, ref.Digest}
	if ref.Digest == "" {
		name := tagName{ref.Repo, ref.Tag}
		value := tx.Get(tableTags, name.key())
		if value == nil {
			return errTagUnknown(name)
		}
		record, err := scanTag(name.key(), value)
		if err != nil {
			return err
		}
		sum.Tag = mirror.Tag(record)
		c.digest = record.Digest
	}
	sum.Digest = c.digest
	value := tx.Get(tableManifests, c.key())
	if value == nil {
		return errManifestUnknown(c.repo, c.digest)
	}
	var record manifestRecord
	if err := scanManifest(c.key(), value, &record); err != nil {
		return err
	}
	sum.Origin = record.Origin
	used, err := lastUsed(tx, c)
	if err != nil {
		return err
	}
	if sum.Attached, err = attached(tx, c); err != nil {
		return err
	}
	if sum.LastUsed = m.recency.pendingUse(c); sum.LastUsed.IsZero() {
		sum.LastUsed = used
	}
	if len(record.Children)+len(record.Owned) > 0 || len(record.Blobs) == 0 {
		return nil
	}
	image.plain, err = m.readBlobs(tx, c, &record, image)
	if image.plain && image.blobs[1].readable && mirror.StatesPlatform(record.ArtifactType) {
		if sum.Platform = m.files[record.Blobs[0]].record.Platform; sum.Platform == "" {
			sum.Config = record.Blobs[0]
		}
	}
	return err
}

// maxAttached is how many referrers of an image are read to find out their kinds.
const maxAttached = 50

// attached returns the kinds of what refers to a manifest: by its subject, or by a tag of its repository.
func attached(tx backend.ReadTx, c content) (kinds mirror.Attached, err error) {
	n := 0
	for k, value := range tx.Scan(tableReferrers, prefix(c.repo.String(), c.digest.String()), "") {
		referrer, err := decodeRecord[v1.Descriptor](tableReferrers, k, value)
		if err != nil {
			return kinds, err
		}
		if kinds.Add(mirror.ReferrerKindOf(referrer.ArtifactType)); n == maxAttached {
			break
		}
		n++
	}
	begin := key(c.repo.String(), mirror.SubjectTag(c.digest)+".")
	for k := range tx.Scan(tableTags, begin, "") {
		if kinds.Add(mirror.ReferrerKindOf(k[len(begin)-1:])); n == maxAttached {
			break
		}
		n++
	}
	return kinds, nil
}

// readBlobs reads what the index says about the files of an image. It reports false if one of its blobs may be a
// manifest, or its own file is not indexed.
func (m *summarizer) readBlobs(tx backend.ReadTx, c content, record *manifestRecord, image *summaryImage) (plain bool, err error) {
	own, err := m.file(tx, c.digest)
	if err != nil || !own.stored {
		return false, err
	}
	image.blobs = append(make([]summaryBlob, 0, len(record.Blobs)+1), summaryBlob{digest: c.digest})
	for _, d := range record.Blobs {
		file, err := m.file(tx, d)
		if err != nil {
			return false, err
		}
		blob := summaryBlob{digest: d, readable: file.stored && linked(tx, c.repo, d)}
		if !blob.readable {
			if has(tx, tableManifests, content{c.repo, d}.key()) {
				return false, nil
			}
			use, _, err := getRecord[useRecord](tx, tableUses, useKey(d, c.repo, c.digest))
			if err != nil {
				return false, err
			}
			blob.size = max(0, use.Size)
		}
		image.blobs = append(image.blobs, blob)
	}
	return true, nil
}

// file returns what the index says about a file.
func (m *summarizer) file(tx backend.ReadTx, d digest.Digest) (*summaryFile, error) {
	if file := m.files[d]; file != nil {
		return file, nil
	}
	file := &summaryFile{}
	if value := tx.Get(tableBlobs, d.String()); value != nil {
		record, err := scanBlob(d.String(), value)
		if err != nil {
			return nil, err
		}
		file.record, file.stored = record, true
	}
	m.files[d] = file
	return file, nil
}

// measure adds up the files of an image. It leaves out an image whose manifest is not intact.
func (m *summarizer) measure(sum *mirror.Summary, image summaryImage) {
	if !m.intact(image.blobs[0].digest) {
		return
	}
	sum.Measured, sum.Complete = true, true
	for _, blob := range image.blobs[1:] {
		size, complete := blob.size, false
		if blob.readable {
			size, complete = m.files[blob.digest].record.Size, m.intact(blob.digest)
		}
		sum.Size = mirror.AddSizes(sum.Size, size)
		if !complete {
			sum.Missing, sum.Complete = mirror.AddSizes(sum.Missing, size), false
		}
	}
}

// intact reports whether the file of d has the size that the index says.
func (m *summarizer) intact(d digest.Digest) bool {
	file := m.files[d]
	if file.intact == nil {
		size, err := m.blobs.Stat(m.ctx, d)
		intact := err == nil && size == file.record.Size
		file.intact = &intact
	}
	return *file.intact
}
