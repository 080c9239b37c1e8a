package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/migrate"
	"airmirror/upstream"
)

// migrateRequest says what to move in, and where the registry is that From names.
type migrateRequest struct {
	migrate.Request
	URL string `json:"url,omitempty"`
}

func (c *migrateRequest) given() bool { return c.Root != "" || c.URL != "" }

// read checks what was asked for. A folder is read by the server, which need not be where the command is.
func (c *migrateRequest) read() (err error) {
	if c.URL != "" {
		e, err := upstream.ParseEndpoint(c.URL)
		if err != nil {
			return &exitError{exitUsage, fmt.Errorf("--from: %w", err)}
		}
		c.From = e.Host
	}
	if err := c.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	if c.Root != "" {
		c.Root, err = filepath.Abs(c.Root)
	}
	return err
}

// runMigrate moves in what another registry has.
func runMigrate(cmd *cobra.Command, client *admin.Client, req migrateRequest, asJSON bool) error {
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

// migrate moves in what another registry has, from its folder or by asking it.
func (w *works) migrate(ctx context.Context, req migrateRequest, tell func(any)) error {
	defer w.mirror.ResolveWants(context.WithoutCancel(ctx))
	event := func(e migrate.Event) { tell(e) }
	if req.Root != "" {
		_, err := migrate.Folder(ctx, w.store, w.mirror.Names(), req.Request, event)
		return err
	}
	if w.mirror.Mode() == mirror.Offline {
		return mirror.Errorf(mirror.CodeUnavailable, "the mirror is offline and dials nobody: 'mirror mode auto' changes that")
	}
	source, err := w.registryAt(req.URL)
	if err != nil {
		return mirror.Errorf(mirror.CodeNameInvalid, "%w", err)
	}
	_, err = migrate.Registry(ctx, w.store, w.mirror.Names(), source, req.Request, event)
	return err
}

// registryAt returns a client of the registry at a URL: as it is configured, if it is an upstream, else with the
// credentials that docker has for it.
func (w *works) registryAt(url string) (migrate.Source, error) {
	e, err := upstream.ParseEndpoint(url)
	if err != nil {
		return nil, err
	}
	config := e.Config()
	for _, u := range w.config.Upstreams {
		if u.Host == e.Host {
			config = u.Config
		}
	}
	return newUpstream([]upstream.Config{config}, w.config, w.log)
}
