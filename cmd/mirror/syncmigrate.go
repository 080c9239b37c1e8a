package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/sync/migrate"
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

// runMigrate moves in what another registry has.
func runMigrate(cmd *cobra.Command, client *admin.Client, req admin.MigrateRequest, asJSON bool) error {
	view := &migrateView{out: cmd.OutOrStdout(), json: asJSON, began: time.Now()}
	if !asJSON {
		view.shown = newShow(cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	err := client.Job(cmd.Context(), "migrate", req, nil, view.event)
	view.end()
	switch {
	case cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: what has arrived whole is kept, and the same command goes on with the rest")}
	case err != nil:
		return err
	case view.summary == nil:
		return errors.New("the mirror did not say how it ended; its log says why")
	}
	return undoneMigrate(view.summary)
}

// undoneMigrate is the error for what was not moved in.
func undoneMigrate(s *migrate.Summary) error {
	var parts []string
	if s.Left > 0 {
		parts = append(parts, fmt.Sprintf("%s left out, each named above", count(s.Left, "thing was", "things were")))
	}
	if s.Kept > 0 {
		parts = append(parts, fmt.Sprintf("%s kept as pushed here, which --overwrite moves", count(s.Kept, "tag was", "tags were")))
	}
	if len(parts) == 0 {
		return nil
	}
	return &exitError{exitMissing, errors.New(strings.Join(parts, "; ") + "; everything else is held")}
}

// migrateView shows what is moved in.
type migrateView struct {
	out     io.Writer
	json    bool
	shown   show
	began   time.Time
	summary *migrate.Summary
	planned int64
	done    int
	undone  []string // lines about what was not done
}

func (v *migrateView) event(line json.RawMessage) error {
	var e migrate.Event
	if err := readAnswer(line, &e); err != nil {
		return err
	}
	if e.Kind == migrate.KindDone {
		v.summary = e.Summary
	}
	if v.json {
		_, err := fmt.Fprintf(v.out, "%s\n", line)
		return err
	}
	switch e.Kind {
	case migrate.KindPlan:
		v.planned = e.Total
	case migrate.KindProgress:
		v.shown.progress(fmt.Sprintf("%d of %d repositories", v.done, v.planned), e.Done, e.Total, e.Doing)
	case migrate.KindLeft:
		v.notDone(fmt.Sprintf("left out: %s: %s", e.Name, e.Error))
	case migrate.KindKept:
		v.notDone(fmt.Sprintf("kept: %s was pushed here and points at %s; there it is %s (--overwrite moves it)", e.Name, short(e.Was), short(e.Digest)))
	case migrate.KindRepository:
		v.done++
		v.shown.line(fmt.Sprintf("%s: %s, %s", e.Name, count(e.Tags, "tag", "tags"), count(e.Manifests, "manifest", "manifests")))
	}
	return nil
}

// notDone shows what was not done, and again below everything else.
func (v *migrateView) notDone(line string) {
	v.shown.line(line)
	v.undone = append(v.undone, line)
}

func (v *migrateView) end() {
	if v.shown == nil {
		return
	}
	v.shown.end()
	s := v.summary
	if s == nil {
		return
	}
	linked := ""
	if s.Linked > 0 {
		linked = fmt.Sprintf(", %s of it linked and not copied", size(s.Linked))
	}
	fmt.Fprintf(v.out, "%s, %s, %s: %s new in %s%s; in %s\n", count(s.Repositories, "repository", "repositories"), count(s.Tags, "tag", "tags"),
		count(s.Manifests, "manifest", "manifests"), size(s.Bytes), count(s.Blobs, "file", "files"), linked, time.Since(v.began).Round(10*time.Millisecond))
	for _, line := range v.undone {
		fmt.Fprintln(v.out, line)
	}
}
