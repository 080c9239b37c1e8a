package service

import (
	"context"
	"io"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/migrate"
)

// migrate copies another registry, from its folder or by its API.
func (s *Service) migrate(ctx context.Context, req admin.MigrateRequest, _ io.Reader, send func(any)) error {
	if err := s.mirror.Writable(); err != nil {
		return err
	}
	defer s.mirror.ResolveWants(context.WithoutCancel(ctx))
	event := func(e migrate.Event) { send(e) }
	if req.Root != "" {
		_, err := migrate.Folder(ctx, s.store, s.mirror.Names(), req.Request, event)
		return err
	}
	if s.mirror.Mode() == mirror.Offline {
		return mirror.Errorf(mirror.CodeUnavailable, "the mirror is offline and dials nobody: 'mirror mode auto' changes that")
	}
	source, err := s.opts.Registry(req.URL)
	if err != nil {
		return mirror.Errorf(mirror.CodeNameInvalid, "%w", err)
	}
	_, err = migrate.Registry(ctx, s.store, s.mirror.Names(), source, req.Request, event)
	return err
}
