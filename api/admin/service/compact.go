package service

import (
	"context"
	"io"

	"airmirror/api/admin"
)

// compact makes the file of the index smaller.
func (s *Service) compact(ctx context.Context, req admin.CompactRequest, _ io.Reader, report admin.Report) error {
	size, free, err := s.store.IndexUsage()
	if err != nil {
		return err
	}
	if req.DryRun {
		report.Summary(admin.CompactSummary{Before: size, After: size - free})
		return nil
	}
	if s.opts.Room != nil {
		if err := s.opts.Room(size - free); err != nil {
			return err
		}
	}
	before, after, err := s.store.CompactIndex(ctx)
	if err != nil {
		return err
	}
	report.Summary(admin.CompactSummary{Before: before, After: after})
	return nil
}
