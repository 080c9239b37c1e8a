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
	source, err := s.migrationSource(req)
	if err != nil {
		return err
	}
	reporter := report.NewReporter()
	var summary migrate.Summary
	if req.Root != "" {
		summary, err = migrate.Folder(ctx, s.store, s.mirror.Names(), req.Request, reporter, reportMigration(report))
	} else {
		summary, err = migrate.Registry(ctx, s.store, s.mirror.Names(), source, req.Request, reporter, reportMigration(report))
	}
	return end(report, reporter, summary, err)
}

// migrationSource returns a client of the registry to migrate from; nil for a folder.
func (s *Service) migrationSource(req admin.MigrateRequest) (migrate.RegistryClient, error) {
	if req.Root != "" {
		return nil, nil
	}
	if s.mirror.Mode() == mirror.Offline {
		return nil, mirror.Errorf(mirror.CodeUnavailable, "the mirror is offline and connects to no registry: see 'mirror mode --help'")
	}
	source, err := s.opts.Registry(req.URL)
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeNameInvalid, "%w", err)
	}
	return source, nil
}

// reportMigration returns a function that reports the events of a migration.
func reportMigration(report admin.Report) func(migrate.Event) {
	return func(e migrate.Event) {
		switch e.Kind {
		case migrate.KindRepository:
			report.Item(admin.KindRepository, admin.MigratedRepository{Name: e.Name, Tags: e.Tags, Manifests: e.Manifests, Skipped: e.Skipped})
		case migrate.KindSkipped:
			report.Item(admin.KindSkipped, admin.Notice{Name: e.Name, Reason: e.Error})
		case migrate.KindKept:
			report.Item(admin.KindKept, transfer.KeptTag{Name: e.Name, Digest: e.Was, Other: e.Digest})
		}
	}
}
