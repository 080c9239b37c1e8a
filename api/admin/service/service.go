// Package service implements the jobs, calls and streams of the admin API: collections, removals, verification, imports,
// exports and migrations of one mirror. It connects the protocol of package admin with the packages that do the work:
// gc and the packages below sync.
package service

import (
	"context"
	"encoding/json"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/api/admin"
	"airmirror/api/events"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/migrate"
	"airmirror/sync/progress"
	"airmirror/sync/transfer"
)

// Store is the part of a store that the jobs use directly.
type Store interface {
	gc.Store
	migrate.Store
	mirror.ManifestStore
	mirror.Catalog
	// Blob opens a blob, as [mirror.BlobStore] says.
	Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.Blob, error)
	// Backup writes a consistent copy of the index and returns its size in bytes.
	Backup(ctx context.Context, w io.Writer) (int64, error)
	// IndexUsage returns the size of the file of the index in bytes, and about how much of it CompactIndex would free.
	IndexUsage() (size, free int64, err error)
	// CompactIndex makes the file of the index smaller, and returns its size before and after in bytes.
	CompactIndex(ctx context.Context) (before, after int64, err error)
	// StoredBytes returns the size of all stored blobs and manifests.
	StoredBytes(ctx context.Context) (int64, error)
}

// Options are the services that a [Service] uses. Transfer and Collector are required.
type Options struct {
	// Transfer imports and exports bundles.
	Transfer *transfer.Service
	// Collector plans and executes collections.
	Collector *gc.Collector
	// Registry returns a client of the registry at a URL, to migrate from it. Without it, only a folder can be migrated.
	Registry func(url string) (migrate.RegistryClient, error)
	// Room checks that a number of bytes can be written to the disk of the store. Nil does not check.
	Room func(need int64) error
	// Events receives an event for each image that is removed or imported; nil for none.
	Events *events.Events
}

// Service runs the jobs of one mirror. It is safe for concurrent use.
type Service struct {
	mirror Mirror
	store  Store
	opts   Options
}

// New returns a service for m and the store below it.
func New(m Mirror, store Store, opts Options) *Service {
	return &Service{mirror: m, store: store, opts: opts}
}

// Jobs returns all jobs by name: work that can take long.
func (s *Service) Jobs() map[string]admin.Job {
	return map[string]admin.Job{
		"sync":    job(s.sync),
		"import":  job(s.importBundle),
		"migrate": job(s.migrate),
		"collect": job(s.collect),
		"verify":  job(s.verify),
		"compact": job(s.compact),
	}
}

// Calls returns all calls by name: short work, of which only its client needs to know.
func (s *Service) Calls() map[string]admin.Job {
	return map[string]admin.Job{
		"list-tags":      job(s.listTags),
		"export-plan":    job(s.exportPlan),
		"export-sent":    job(s.exportSent),
		"export-history": job(s.exportHistory),
		"remove":         job(s.remove),
		"usage":          job(s.usage),
		"pins":           job(s.pins),
		"pin":            job(s.pin),
		"unpin":          job(s.unpin),
		"tag":            job(s.tag),
	}
}

// Streams returns all streams by name.
func (s *Service) Streams() map[string]admin.Stream {
	return map[string]admin.Stream{
		"export":  stream(s.export),
		"backup":  stream(s.backup),
		"receipt": stream(s.receipt),
		"chart":   stream(s.chart),
	}
}

// job returns a job that decodes its request and calls do.
func job[R any](do func(ctx context.Context, req R, body io.Reader, report admin.Report) error) admin.Job {
	return func(ctx context.Context, request json.RawMessage, body io.Reader, report admin.Report) error {
		req, err := decode[R](request)
		if err != nil {
			return err
		}
		return do(ctx, req, body, report)
	}
}

// stream returns a stream that decodes its request and calls do.
func stream[R any](do func(ctx context.Context, req R, body io.Reader, out io.Writer) error) admin.Stream {
	return func(ctx context.Context, request json.RawMessage, body io.Reader, out io.Writer) error {
		req, err := decode[R](request)
		if err != nil {
			return err
		}
		return do(ctx, req, body, out)
	}
}

// end ends the progress of a job, and sends its summary unless the job failed.
func end(report admin.Report, reporter *progress.Reporter, summary any, err error) error {
	reporter.Close()
	if err == nil {
		report.Summary(summary)
	}
	return err
}

func decode[R any](request json.RawMessage) (req R, err error) {
	if len(request) == 0 {
		return req, nil
	}
	if err := json.Unmarshal(request, &req); err != nil {
		return req, mirror.Errorf(mirror.CodeUnsupported, "decode the request: %w", err)
	}
	return req, nil
}
