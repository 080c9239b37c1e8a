package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/progress"
)

// ImportRequest configures an import.
type ImportRequest struct {
	// Tag is the name for an image of an archive that has none. Without a tag, it is the repository for images for
	// which the archive has only tags.
	Tag string `json:"tag,omitempty"`
	// Overwrite also moves tags that were pushed.
	Overwrite bool `json:"overwrite,omitempty"`
	// AnyDestination accepts a bundle for another destination.
	AnyDestination bool `json:"anyDestination,omitempty"`
	// AllowOlder accepts a bundle that is older than the last imported bundle of the same source.
	AllowOlder bool `json:"allowOlder,omitempty"`
	// DryRun changes nothing. Of a bundle, it reads the document only.
	DryRun bool `json:"dryRun,omitempty"`
	// Keys are public keys. If there are any, the bundle must be signed by one of them, or by a trusted key.
	Keys []string `json:"keys,omitempty"`
	// Volume describes the volume that is sent. It is nil if the whole bundle is sent.
	Volume *Volume `json:"volume,omitempty"`
}

// importer is a running import.
type importer struct {
	*progress.Reporter
	protection
	report  func(Event)
	service *Service
	req     ImportRequest
	reader  *bundle.Reader
	summary Summary

	doc       *bundle.Document       // nil if the archive is not a bundle
	manifests []manifest             // of doc, including assumed ones
	missing   map[digest.Digest]bool // content of doc that is not stored
	inspected bool                   // manifests are inspected and in import order
	invalid   bool                   // the bundle contradicts itself, so copying it again does not help

	split        *split          // nil if the bundle is sent as a whole
	earlierBytes int64           // size of the blobs that earlier volumes added
	skipped      []skippedImage  // of an archive that is not a bundle
	skippedNames map[string]bool // names of skipped

	mu        sync.Mutex
	added     map[digest.Digest]int64 // sizes of committed blobs; in a dry run, of those that would be committed
	inArchive map[digest.Digest]int64 // sizes of all entries of an archive that is not a bundle
}

// Import imports a bundle, a volume of one, an OCI image layout or an archive of docker save from body. It never
// calls report concurrently, nor after it has returned. The package comment describes the checks, and which content remains
// stored after an error. [mirror.CodeBundleInvalid], [mirror.CodeDigestInvalid] and the codes of invalid manifests mean
// that the archive is defective. Import does not read the parts of body that it does not need.
func (svc *Service) Import(ctx context.Context, req ImportRequest, body io.Reader, p *progress.Reporter, report func(Event)) (Summary, error) {
	began := time.Now()
	in := &importer{Reporter: p, report: report, protection: protection{store: svc.store}, service: svc, req: req, missing: make(map[digest.Digest]bool), added: make(map[digest.Digest]int64), inArchive: make(map[digest.Digest]int64)}
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
	in.summary.Duration = time.Since(began).Seconds()
	return in.summary, nil
}

// reportImage reports an image that is imported, or would be.
func (in *importer) reportImage(image *bundle.Image) {
	in.report(Event{Kind: KindImage, Image: image})
	in.AddItem()
}

// newBytes returns the total size of the blobs that were added, or would be in a dry run.
func (in *importer) newBytes() (bytes int64) {
	for _, size := range in.added {
		bytes += size
	}
	return bytes
}

// importAll imports an archive that is sent as a whole.
func (in *importer) importAll(ctx context.Context, body io.Reader) (err error) {
	in.SetCurrent("reading the archive")
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

// explainFullDisk adds advice to the error of a full disk.
func explainFullDisk(err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return mirror.Errorf(mirror.CodeStorageFull, "the disk of the mirror is full: free some space, for example with 'mirror gc', and run the command again: it continues with the content that it has received: %w", err)
}

// isInvalid reports whether err means that a complete archive is invalid. It is false for a truncated one.
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

// explainTruncated adds advice to the error of a truncated archive.
func explainTruncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) && mirror.CodeOf(err) == mirror.CodeBundleInvalid {
		return mirror.Errorf(mirror.CodeBundleInvalid, "the archive is truncated: copy it again and repeat the import, which continues with the content that it has received: %w", err)
	}
	return err
}

// finish imports the manifests, sets the tags and records the import. All blobs are stored.
func (in *importer) finish(ctx context.Context) error {
	if err := in.inspect(ctx); err != nil {
		return err
	}
	in.SetCurrent("importing manifests")
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
	in.SetCurrent("setting tags")
	if err := in.pointTags(ctx, tags); err != nil {
		return err
	}
	in.service.mirror.ResolveWants(ctx)
	for i := range in.doc.Images {
		in.reportImage(&in.doc.Images[i])
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

// set returns the name of the set of volumes, or an empty string.
func (in *importer) set() string {
	if in.req.Volume == nil {
		return ""
	}
	return in.req.Volume.Set
}

// reportHosts reports how clients can pull images of registries whose name has a port. A repository path cannot contain
// a colon, so the ns parameter is the only way.
func (in *importer) reportHosts(repos iter.Seq[mirror.Repo]) {
	reported := make(map[string]bool)
	names := in.service.mirror.Names()
	for repo := range repos {
		if reported[repo.Host] || !strings.Contains(repo.Host, ":") || names.Served(repo) == repo.Path {
			continue
		}
		reported[repo.Host] = true
		in.report(Event{Kind: KindNote, Name: repo.Host, Reason: fmt.Sprintf("clients can pull its images from this mirror only if they send ?ns=%[1]s, as containerd does with certs.d/%[1]s/hosts.toml; "+
			"if %[1]s is this mirror, name it under ownNames in the configuration and import again, or name the image with --tag", repo.Host)})
	}
}
