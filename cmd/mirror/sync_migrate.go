package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/sync/migrate"
	"airmirror/sync/transfer"
	"airmirror/upstream"
)

// migrates reports whether a request names a registry.
func migrates(req admin.MigrateRequest) bool { return req.Root != "" || req.URL != "" }

// readMigrate checks a request and completes it. The server reads the folder, and may have another working directory.
func readMigrate(req *admin.MigrateRequest) (err error) {
	if req.URL != "" {
		e, err := upstream.ParseEndpoint(req.URL)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--from: %w", err)}
		}
		req.From = e.Host
	}
	if err := req.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	if req.Root != "" {
		req.Root, err = filepath.Abs(req.Root)
	}
	return err
}

// runMigrate migrates another registry.
func runMigrate(cmd *cobra.Command, client *admin.Client, req admin.MigrateRequest, asJSON bool) error {
	if isDetached(cmd) {
		return startDetached(cmd, client, "migrate", req, asJSON)
	}
	view := &migrateView{jobView: newJobView(cmd, asJSON), began: time.Now()}
	view.label, view.item, view.summary = countItems("repositories"), view.handle, &view.result
	err := client.Job(cmd.Context(), "migrate", req, nil, view.event)
	view.end()
	if err := view.completed(cmd.Context(), err); err != nil {
		return err
	}
	return undoneMigrate(&view.result)
}

// undoneMigrate returns the error for content that was not migrated.
func undoneMigrate(s *migrate.Summary) error {
	var parts []string
	if s.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%s skipped, listed above", count(s.Skipped, "item was", "items were")))
	}
	if s.Kept > 0 {
		parts = append(parts, fmt.Sprintf("%s kept, listed above; --overwrite-tags moves pushed tags", count(s.Kept, "pushed tag was", "pushed tags were")))
	}
	if len(parts) == 0 {
		return nil
	}
	return &exitError{exitMissing, errors.New(strings.Join(parts, "; ") + "; everything else was migrated")}
}

// migrateView shows a migration.
type migrateView struct {
	*jobView
	began  time.Time
	result migrate.Summary
	undone []string // lines about skipped items and kept tags, repeated at the end
}

// handle returns the line for an item.
func (v *migrateView) handle(e admin.Event) (text string, err error) {
	switch e.Kind {
	case admin.KindSkipped:
		var skipped admin.Notice
		err = e.Decode(&skipped)
		text = fmt.Sprintf("skipped: %s: %s", skipped.Name, skipped.Reason)
	case admin.KindKept:
		var kept transfer.KeptTag
		err = e.Decode(&kept)
		text = fmt.Sprintf("kept: %s was pushed here and points at %s; in the registry it points at %s (--overwrite-tags moves it)", kept.Name, short(kept.Digest), short(kept.Other))
	case admin.KindRepository:
		var repo admin.MigratedRepository
		err = e.Decode(&repo)
		return fmt.Sprintf("%s: %s, %s", repo.Name, count(repo.Tags, "tag", "tags"), count(repo.Manifests, "manifest", "manifests")), err
	}
	v.undone = append(v.undone, text)
	return text, err
}

// end prints the summary.
func (v *migrateView) end() {
	v.jobView.end()
	if v.json || !v.ended {
		return
	}
	s := &v.result
	linked := ""
	if s.Linked > 0 {
		linked = fmt.Sprintf(", %s of it linked instead of copied", size(s.Linked))
	}
	fmt.Fprintf(v.out, "%s, %s, %s: %s new in %s%s; in %s\n", count(s.Repositories, "repository", "repositories"), count(s.Tags, "tag", "tags"),
		count(s.Manifests, "manifest", "manifests"), size(s.Bytes), count(s.Blobs, "file", "files"), linked, time.Since(v.began).Round(10*time.Millisecond))
	for _, line := range v.undone {
		fmt.Fprintln(v.out, line)
	}
}
