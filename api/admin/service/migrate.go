package service

import (
	"context"
	"io"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/migrate"
	"airmirror/sync/transfer"
)

// migrate copies another registry, from its folder or by its API.
func (s *Service) migrate(ctx context.Context, req admin.MigrateRequest, _ io.Reader, report admin.Report) error {
	if err := s.mirror.Writable(); err != nil {
		return err
	}
	defer s.mirror.ResolveWants(context.WithoutCancel(ctx))
	event := reportMigration(report)
	if req.Root != "" {
		_, err := migrate.Folder(ctx, s.store, s.mirror.Names(), req.Request, event)
		return err
	}
	if s.mirror.Mode() == mirror.Offline {
		return mirror.Errorf(mirror.CodeUnavailable, "the mirror is offline and connects to no registry: see 'mirror mode --help'")
	}
	source, err := s.opts.Registry(req.URL)
	if err != nil {
		return mirror.Errorf(mirror.CodeNameInvalid, "%w", err)
	}
	_, err = migrate.Registry(ctx, s.store, s.mirror.Names(), source, req.Request, event)
	return err
}

// reportMigration returns a function that reports the events of a migration.
func reportMigration(report admin.Report) func(migrate.Event) {
	var items, total int
	return func(e migrate.Event) {
		switch e.Kind {
		case migrate.KindPlan:
			total = int(e.Total)
			report.Progress(admin.Progress{TotalItems: total})
		case migrate.KindProgress:
			report.Progress(admin.Progress{Done: e.Done, Total: e.Total, Items: items, TotalItems: total, Current: e.Doing})
		case migrate.KindRepository:
			items++
			report.Item(admin.KindRepository, admin.MigratedRepository{Name: e.Name, Tags: e.Tags, Manifests: e.Manifests, Skipped: e.Skipped})
		case migrate.KindSkipped:
			report.Item(admin.KindSkipped, admin.Notice{Name: e.Name, Reason: e.Error})
		case migrate.KindKept:
			report.Item(admin.KindKept, transfer.KeptTag{Name: e.Name, Digest: e.Was, Other: e.Digest})
		case migrate.KindDone:
			report.Summary(e.Summary)
		}
	}
}
