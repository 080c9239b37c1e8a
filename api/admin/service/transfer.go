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
func (s *Service) sync(ctx context.Context, req prefetch.Request, _ io.Reader, send func(any)) error {
	prefetch.Run(ctx, s.mirror, req, func(event prefetch.Event) { send(event) })
	return nil
}

// exportPlan lists the content of a bundle without writing it.
func (s *Service) exportPlan(ctx context.Context, req transfer.ExportRequest, receipt io.Reader, send func(any)) error {
	_, err := s.opts.Transfer.Plan(ctx, req, receipt, func(event transfer.Event) { send(event) })
	return err
}

// export writes a bundle to out.
func (s *Service) export(ctx context.Context, req transfer.ExportRequest, receipt io.Reader, out io.Writer) error {
	_, err := s.opts.Transfer.Export(ctx, req, receipt, out)
	return err
}

// exportSent records that a bundle was written completely.
func (s *Service) exportSent(ctx context.Context, doc bundle.Document, _ io.Reader, _ func(any)) error {
	return s.opts.Transfer.RecordExport(ctx, &doc)
}

// exportHistory lists the recorded bundles.
func (s *Service) exportHistory(ctx context.Context, _ struct{}, _ io.Reader, send func(any)) error {
	sent, err := s.opts.Transfer.History(ctx)
	for _, one := range sent {
		send(one)
	}
	return err
}

// importBundle imports the archive, or the volume of a bundle, that body reads.
func (s *Service) importBundle(ctx context.Context, req transfer.ImportRequest, body io.Reader, send func(any)) error {
	if err := s.mirror.Writable(); err != nil && !req.DryRun {
		return err
	}
	_, err := s.opts.Transfer.Import(ctx, req, body, s.withEvents(ctx, req, send))
	return err
}

// withEvents returns send with an event recorded for each image that is imported. A tag that was kept, and an image in a
// dry run, are not.
func (s *Service) withEvents(ctx context.Context, req transfer.ImportRequest, send func(any)) func(transfer.Event) {
	kept, actor := map[string]bool{}, admin.PeerUser(ctx)
	return func(event transfer.Event) {
		send(event)
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
