package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/api/audit"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
	"airmirror/sync/transfer"
)

// works is everything that commands can have done by the mirror of a data folder: what does it, over one mirror and the
// store under it.
type works struct {
	mirror    *mirror.Mirror
	store     *cache.Store
	carrier   *transfer.Carrier
	collector *gc.Collector
	config    serveConfig
	audit     *audit.Log
	uploads   *registry.OpenUploads
	// watch and reloader are a server's, and nil elsewhere.
	watch    *watch
	reloader *reloader
	log      *zap.Logger
}

// newWorks returns what works on m, and takes up what an earlier process left.
func newWorks(ctx context.Context, m *mirror.Mirror, store *cache.Store, c serveConfig, log *zap.Logger) (*works, error) {
	changes, err := c.Audit.open(log)
	if err != nil {
		return nil, err
	}
	w := &works{mirror: m, store: store, config: c, log: log, audit: changes, uploads: c.openUploads()}
	w.carrier = transfer.New(m, store, transfer.Options{
		Host: hostName(), Tool: "mirror " + version, Verifier: func(keys []string) (transfer.Verifier, error) { return c.current().Bundles.verifier(keys) }, Signed: c.Bundles.RequireSignature, Destination: c.Bundles.Destination,
		Limits: archiveLimits, Log: log,
		IgnoreNondistributable: c.IgnoreNondistributable,
	})
	collector, err := gc.NewCollector(ctx, expiring{store, w.uploads.Ended}, m, gc.CollectorOptions{Schedule: c.GC.schedule(c.names()), Disk: store.Space, Log: log})
	if err != nil {
		return w, err
	}
	w.collector = collector
	return w, w.carrier.Resume(ctx)
}

// jobs are done while a command listens.
func (w *works) jobs() map[string]admin.Job {
	jobs := map[string]admin.Job{
		"sync": job(func(ctx context.Context, req prefetch.Request, _ io.Reader, tell func(any)) error {
			prefetch.Run(ctx, w.mirror, req, func(event prefetch.Event) { tell(event) })
			return nil
		}),
		"export-plan": job(func(ctx context.Context, req transfer.ExportRequest, receipt io.Reader, tell func(any)) error {
			_, err := w.carrier.Plan(ctx, req, receipt, func(event transfer.Event) { tell(event) })
			return err
		}),
		"export-sent": job(func(ctx context.Context, doc bundle.Document, _ io.Reader, _ func(any)) error {
			return w.carrier.Sent(ctx, &doc)
		}),
		"export-history": job(func(ctx context.Context, _ struct{}, _ io.Reader, tell func(any)) error {
			sent, err := w.carrier.History(ctx)
			for _, s := range sent {
				tell(s)
			}
			return err
		}),
		"import": job(func(ctx context.Context, req transfer.ImportRequest, body io.Reader, tell func(any)) error {
			if err := w.mirror.Writable(); err != nil && !req.DryRun {
				return err
			}
			_, err := w.carrier.Import(ctx, req, body, w.tellingImports(ctx, req, tell))
			return err
		}),
		"migrate": job(func(ctx context.Context, req migrateRequest, _ io.Reader, tell func(any)) error {
			if err := w.mirror.Writable(); err != nil {
				return err
			}
			return w.migrate(ctx, req, tell)
		}),
	}
	maps.Copy(jobs, w.upkeep())
	return jobs
}

// outlets are streams that a command writes somewhere.
func (w *works) outlets() map[string]admin.Outlet {
	return map[string]admin.Outlet{
		"export": outlet(func(ctx context.Context, req transfer.ExportRequest, receipt io.Reader, out io.Writer) error {
			_, err := w.carrier.Export(ctx, req, receipt, out)
			return err
		}),
		"backup": outlet(func(ctx context.Context, _ struct{}, _ io.Reader, out io.Writer) error {
			_, err := w.store.Backup(ctx, out)
			return err
		}),
		"receipt": outlet(func(ctx context.Context, _ struct{}, _ io.Reader, out io.Writer) error {
			return w.carrier.WriteReceipt(ctx, out)
		}),
	}
}

// job reads the request for do.
func job[R any](do func(ctx context.Context, req R, body io.Reader, tell func(any)) error) admin.Job {
	return func(ctx context.Context, request json.RawMessage, body io.Reader, tell func(event any)) error {
		req, err := readRequest[R](request)
		if err != nil {
			return err
		}
		return do(ctx, req, body, tell)
	}
}

// outlet reads the request for do.
func outlet[R any](do func(ctx context.Context, req R, body io.Reader, out io.Writer) error) admin.Outlet {
	return func(ctx context.Context, request json.RawMessage, body io.Reader, out io.Writer) error {
		req, err := readRequest[R](request)
		if err != nil {
			return err
		}
		return do(ctx, req, body, out)
	}
}

func readRequest[R any](request json.RawMessage) (req R, err error) {
	if len(request) == 0 {
		return req, nil
	}
	if err := json.Unmarshal(request, &req); err != nil {
		return req, mirror.Errorf(mirror.CodeUnsupported, "what is asked for cannot be read: %w", err)
	}
	return req, nil
}
