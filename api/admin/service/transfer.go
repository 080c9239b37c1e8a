package service

import (
	"context"
	"io"

	"airmirror/api/admin"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
	"airmirror/sync/transfer"
)

// sync fetches images from their upstreams.
func (s *Service) sync(ctx context.Context, req prefetch.Request, _ io.Reader, report admin.Report) error {
	reporter := report.NewReporter()
	summary := prefetch.Run(ctx, s.mirror, req, reporter, func(r prefetch.Result) { report.Item(admin.KindImage, r) })
	return end(report, reporter, summary, nil)
}

// listTags lists the tags of a repository.
func (s *Service) listTags(ctx context.Context, req prefetch.TagsRequest, _ io.Reader, report admin.Report) error {
	tags, err := prefetch.Tags(ctx, s.mirror, req)
	if err == nil {
		report.Summary(tags)
	}
	return err
}

// exportPlan lists the content of a bundle without writing it.
func (s *Service) exportPlan(ctx context.Context, req transfer.ExportRequest, receipt io.Reader, report admin.Report) error {
	reporter := report.NewReporter()
	summary, err := s.opts.Transfer.Plan(ctx, req, receipt, reporter, reportTransfer(report))
	return end(report, reporter, summary, err)
}

// export writes a bundle to out.
func (s *Service) export(ctx context.Context, req transfer.ExportRequest, receipt io.Reader, out io.Writer) error {
	_, err := s.opts.Transfer.Export(ctx, req, receipt, out)
	return err
}

// exportSent records that a bundle was written completely.
func (s *Service) exportSent(ctx context.Context, doc bundle.Document, _ io.Reader, _ admin.Report) error {
	return s.opts.Transfer.RecordExport(ctx, &doc)
}

// exportHistory lists the recorded bundles.
func (s *Service) exportHistory(ctx context.Context, _ struct{}, _ io.Reader, report admin.Report) error {
	sent, err := s.opts.Transfer.History(ctx)
	for _, one := range sent {
		report.Item(admin.KindBundle, one)
	}
	return err
}

// importBundle imports the archive, or the volume of a bundle, that body reads.
func (s *Service) importBundle(ctx context.Context, req transfer.ImportRequest, body io.Reader, report admin.Report) error {
	if err := s.mirror.Writable(); err != nil && !req.DryRun {
		return err
	}
	reporter := report.NewReporter()
	summary, err := s.opts.Transfer.Import(ctx, req, body, reporter, s.recordImports(ctx, req, reportTransfer(report)))
	s.opts.Events.Sync(ctx)
	return end(report, reporter, summary, err)
}

// reportTransfer returns a function that reports the events of an export or import.
func reportTransfer(report admin.Report) func(transfer.Event) {
	return func(e transfer.Event) {
		switch e.Kind {
		case transfer.KindImage:
			report.Item(admin.KindImage, admin.BundleImage{Reference: referenceOf(e.Image), Image: e.Image})
		case transfer.KindSkipped:
			report.Item(admin.KindSkipped, admin.Notice{Name: e.Name, Reason: e.Reason})
		case transfer.KindNote:
			report.Item(admin.KindNote, admin.Notice{Name: e.Name, Reason: e.Reason})
		case transfer.KindKept:
			report.Item(admin.KindKept, e.Kept)
		case transfer.KindNext:
			report.Item(admin.KindNext, e.Next)
		}
	}
}

// referenceOf returns the whole name of an image in a bundle.
func referenceOf(image *bundle.Image) string {
	if image.Tag != "" {
		return image.Repository + ":" + image.Tag
	}
	return image.Repository + "@" + image.Digest.String()
}

// recordImports returns a function that calls next and records an event for each image that is imported. It records no
// event for a kept tag, nor in a dry run.
func (s *Service) recordImports(ctx context.Context, req transfer.ImportRequest, next func(transfer.Event)) func(transfer.Event) {
	kept, actor := map[string]bool{}, admin.UserOf(ctx)
	return func(event transfer.Event) {
		next(event)
		switch {
		case req.DryRun:
		case event.Kind == transfer.KindKept:
			kept[event.Kept.Name] = true
		case event.Kind == transfer.KindImage:
			if image := event.Image; !kept[image.Repository+":"+image.Tag] {
				s.opts.Events.Imported(ctx, actor, image.Repository, image.Tag, image.Digest)
			}
		}
	}
}

// receipt writes a receipt of the stored content to out.
func (s *Service) receipt(ctx context.Context, _ struct{}, _ io.Reader, out io.Writer) error {
	return s.opts.Transfer.WriteReceipt(ctx, out)
}

// backup writes a copy of the index to out.
func (s *Service) backup(ctx context.Context, _ struct{}, _ io.Reader, out io.Writer) error {
	_, err := s.store.Backup(ctx, out)
	return err
}
