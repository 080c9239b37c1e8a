package transfer

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"syscall"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// ImportRequest says how content is to come in.
type ImportRequest struct {
	// Tag names the image of an archive that has no name for it; or, without a tag, the repository of images that are
	// only known by tags.
	Tag string `json:"tag,omitempty"`
	// Overwrite moves tags that were pushed, too.
	Overwrite bool `json:"overwrite,omitempty"`
	// AnyDestination takes a bundle in that is for another destination.
	AnyDestination bool `json:"anyDestination,omitempty"`
	// AllowOlder takes a bundle in that was made before the last one that was imported of the same source.
	AllowOlder bool `json:"allowOlder,omitempty"`
	// DryRun changes nothing. Of a bundle, only the document is read.
	DryRun bool `json:"dryRun,omitempty"`
	// Keys are public keys, one of which must have signed the bundle.
	Keys []string `json:"keys,omitempty"`
	// Volume says that this is a part of a bundle, and which one; nil for all of it.
	Volume *Volume `json:"volume,omitempty"`
}

// importing is an import under way.
type importer struct {
	*reporter
	protection
	service *Service
	req     ImportRequest
	reader  *bundle.Reader
	summary Summary

	doc       *bundle.Document // nil for what is no bundle
	manifests []manifest       // of the document, assumed ones included
	missing   map[digest.Digest]bool
	inspected bool // listed is in the order of entering, and was inspected
	// hopeless: it contradicts itself, and is not just damaged.
	invalid      bool
	split        *split          // nil but for a volume
	skipped      []skippedImage  // of an archive that is no bundle
	skippedNames map[string]bool // their names
	earlierBytes int64           // how many bytes of blobs the volumes before the last one brought

	mu        sync.Mutex
	added     map[digest.Digest]int64 // what was committed, or would be in a dry run; by its size
	inArchive map[digest.Digest]int64 // what the archive has, if it is no bundle; by its size
}

// Import takes in what is read of body: a bundle, a volume of one, an OCI image layout or what docker save wrote. tell is
// never called twice at the same time, nor after Import has returned. See the package comment for what is checked, and
// for what is kept if that fails. [mirror.CodeBundleInvalid], [mirror.CodeDigestInvalid] and codes of malformed manifests
// mean that the archive is at fault. What does not have to be read of body is left.
func (svc *Service) Import(ctx context.Context, req ImportRequest, body io.Reader, tell func(Event)) (Summary, error) {
	in := &importer{reporter: newReporter(tell), protection: protection{store: svc.store}, service: svc, req: req, missing: make(map[digest.Digest]bool), added: make(map[digest.Digest]int64), inArchive: make(map[digest.Digest]int64)}
	defer in.Close()
	defer in.release()
	ctx = mirror.WithoutUsage(ctx)
	run := in.importAll
	if req.Volume != nil {
		run = in.importVolume
	}
	if err := run(ctx, body); err != nil {
		if isInvalid(err) && req.Volume == nil {
			err = errors.Join(err, in.discard(ctx, slices.Collect(maps.Keys(in.added))))
		}
		return in.summary, explainFullDisk(err)
	}
	in.summary.DryRun = req.DryRun
	in.summary.New = in.earlierBytes + in.newBytes()
	in.reportSummary(&in.summary)
	return in.summary, nil
}

// newBytes is how many bytes of blobs came, or would in a dry run.
func (in *importer) newBytes() (bytes int64) {
	for _, size := range in.added {
		bytes += size
	}
	return bytes
}

// whole imports what comes in one piece.
func (in *importer) importAll(ctx context.Context, body io.Reader) (err error) {
	in.Doing("reading what is in the archive")
	if in.reader, err = bundle.Open(body, in.service.opts.Limits); err != nil {
		return explainTruncated(err)
	}
	defer in.reader.Close()
	if in.doc = in.reader.Document(); in.doc == nil {
		return explainTruncated(in.importArchive(ctx))
	}
	document, signature := in.reader.Raw()
	if err := in.preflight(ctx, document, signature); err != nil || in.req.DryRun {
		return err
	}
	if len(in.missing) > 0 {
		if err := in.receive(ctx); err != nil {
			return explainTruncated(err)
		}
	}
	return in.finish(ctx)
}

// full says of a disk that is full what to do.
func explainFullDisk(err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return mirror.Errorf(mirror.CodeStorageFull, "the mirror's disk is full: free space there, as 'mirror gc' does where there is something to free, then give the same command again: what came is kept, and it goes on from there: %w", err)
}

// malformed reports whether an error says that what came is not what it should be, all of it.
func isInvalid(err error) bool {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	switch mirror.CodeOf(err) {
	case mirror.CodeBundleInvalid, mirror.CodeDigestInvalid, mirror.CodeManifestInvalid, mirror.CodeManifestTooLarge, mirror.CodeNameInvalid:
		return true
	}
	return false
}

// explainTruncated says of an archive that ends early what to do.
func explainTruncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) && mirror.CodeOf(err) == mirror.CodeBundleInvalid {
		return mirror.Errorf(mirror.CodeBundleInvalid, "it ends early: was it copied whole? What came is kept; import it again to go on: %w", err)
	}
	return err
}

// finish enters what came, all of which is held: manifests, then tags, then that it was imported.
func (in *importer) finish(ctx context.Context) error {
	if err := in.inspect(ctx); err != nil {
		return err
	}
	in.Doing("entering manifests")
	if err := in.importManifests(ctx, in.manifests); err != nil {
		return err
	}
	var tags []mirror.ImportedTag
	for _, image := range in.doc.Images {
		repo, err := mirror.ParseRepo(image.Repository)
		if err != nil {
			return err
		}
		switch {
		case image.Tag != "":
			tags = append(tags, mirror.ImportedTag{Repo: repo, Tag: image.Tag, Digest: image.Digest, Origin: mirror.Imported})
		case image.Why != bundle.WhyReferrer:
			tags = append(tags, mirror.ImportedTag{Repo: repo, Digest: image.Digest, SkipChildren: image.Why == bundle.WhyWanted})
		}
	}
	in.Doing("pointing tags")
	if err := in.pointTags(ctx, tags); err != nil {
		return err
	}
	in.service.mirror.ResolveWants(ctx)
	for i := range in.doc.Images {
		in.report(Event{Kind: KindImage, Image: &in.doc.Images[i]})
	}
	in.reportHosts(func(yield func(mirror.Repo) bool) {
		for _, tag := range tags {
			if !yield(tag.Repo) {
				return
			}
		}
	})
	if err := in.service.recordImported(ctx, in.doc); err != nil {
		return err
	}
	in.service.dropSuperseded(ctx, in.doc, in.set())
	return nil
}

// set is the name of the volumes that are being imported, or "".
func (in *importer) set() string {
	if in.req.Volume == nil {
		return ""
	}
	return in.req.Volume.Set
}
