package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// verifyConfig is what `mirror verify` can be told.
type verifyConfig struct {
	admin.VerifyRequest
	rate gc.Size
	rebuildConfig
}

func newVerifyCommand() *cobra.Command {
	q, c := &adminCommand{}, verifyConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "verify",
		Short: "Check that everything that is held is what it is called, and repair it",
		Long: `Read everything that is held and find what is wrong: files that are damaged or missing, files
that the index does not name, entries of the index that point nowhere. Clients are served
meanwhile. With --repair, what is damaged goes to the quarantine, and it and what is missing
is fetched again where an upstream has it, and wanted where none does; what the index does not
name is taken in if it is what it is called; entries that point nowhere are dropped.

When the index itself is lost or damaged, and no server runs, --rebuild makes a new one from
the files. The old one is kept beside it. What things were called, with all else that only the
index says, comes from the old index as far as that can be read, then from a backup
('mirror backup') or a receipt ('mirror sync --receipt'): those add what the old index does not
have, also what was deleted since. What could not be read or brought back is said.

Exit codes: 0 nothing is wrong, or all of it was repaired, 8 something is; others as for serve.`,
		Example: `  mirror verify
  mirror verify --fast
  mirror verify --repair --rate 50MB
  mirror verify --rebuild --backup /backup/index.db`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		return verify(cmd, client, c.VerifyRequest, q.json)
	})
	f := cmd.Flags()
	f.BoolVar(&c.Fast, "fast", false, "read no content: compare only sizes, and the index with itself")
	f.BoolVar(&c.Repair, "repair", false, "repair what is wrong, as far as that can be done")
	f.TextVar(&c.rate, "rate", gc.Size(0), "read no more than this `size` in a second, as 50MB")
	f.Lookup("rate").DefValue = ""
	f.BoolVar(&c.rebuild, "rebuild", false, "make a new index from the files; no server may be running")
	f.StringVar(&c.backup, "backup", "", "with --rebuild, take what the old index does not have from this `file` that 'mirror backup' wrote")
	f.StringVar(&c.receipt, "receipt", "", "with --rebuild, take names that no index has from this `file` that 'mirror sync --receipt' wrote")
	online := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.Rate = int64(c.rate)
		switch {
		case c.rebuild && c.Repair:
			return &exitError{exitUsage, errors.New("--rebuild makes a new index, and --repair mends one: leave one out")}
		case c.rebuild:
			return rebuild(cmd, q, c)
		case c.backup != "" || c.receipt != "":
			return &exitError{exitUsage, errors.New("--backup and --receipt say what things were called, for --rebuild")}
		}
		return online(cmd, args)
	}
	return cmd
}

// verify verifies what is held, and shows what is wrong as it is found.
func verify(cmd *cobra.Command, client *admin.Client, req admin.VerifyRequest, asJSON bool) error {
	v := &verifyView{jobView: newJobView(cmd, asJSON), repair: req.Repair}
	v.item, v.summary = v.defect, &v.result
	v.label = func(admin.Progress) string { return count(v.found, "flaw", "flaws") }
	err := client.Job(cmd.Context(), "verify", req, nil, v.event)
	if v.ended && !asJSON {
		v.line(verifySummary(&v.result))
	}
	v.end()
	switch {
	case err != nil:
		return err
	case v.wrong > 0 && req.Repair:
		return &exitError{exitFlawed, fmt.Errorf("%s could not be repaired", count(v.wrong, "flaw", "flaws"))}
	case v.wrong > 0:
		return &exitError{exitFlawed, fmt.Errorf("%s found; repair what can be with 'mirror verify --repair'", count(v.wrong, "flaw was", "flaws were"))}
	}
	return nil
}

// verifyView counts the defects that a verification reports.
type verifyView struct {
	*jobView
	repair bool
	result mirror.VerifySummary
	found  int
	wrong  int // not repaired
}

// defect returns the line for a defect.
func (v *verifyView) defect(e admin.Event) (string, error) {
	var d mirror.VerifyEvent
	if err := e.Decode(&d); err != nil {
		return "", err
	}
	v.found++
	if !v.repair || !repaired(&d) {
		v.wrong++
	}
	return flawLine(&d), nil
}

// repaired reports whether a flaw is one no more.
func repaired(e *mirror.VerifyEvent) bool {
	switch {
	case e.Error != "" || e.Wanted || e.Kind == mirror.Broken:
		return false
	case e.Kind == mirror.Dangling:
		return e.Repaired
	}
	return true
}

// flawLine says for people what is wrong, and what was done about it.
func flawLine(e *mirror.VerifyEvent) string {
	var b strings.Builder
	b.WriteString(string(e.Kind))
	switch {
	case e.Manifest:
		b.WriteString(" manifest " + e.Digest.String())
	case e.Digest != "":
		fmt.Fprintf(&b, " %s (%s)", e.Digest, size(e.Size))
	case e.Entry != "":
		b.WriteString(" " + e.Entry)
	}
	if len(e.Repos) > 0 {
		const most = 3
		b.WriteString(" of " + strings.Join(e.Repos[:min(most, len(e.Repos))], ", "))
		if more := len(e.Repos) - most; more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
	}
	b.WriteString(": " + e.Reason)
	for _, did := range []struct {
		what bool
		text string
	}{{e.Fetched, "fetched again"}, {e.Repaired && !e.Fetched && !e.Wanted, "repaired"}, {e.Wanted, "wanted, as it could not be fetched again"}} {
		if did.what {
			b.WriteString("; " + did.text)
		}
	}
	if e.Error != "" {
		b.WriteString("; " + e.Error)
	}
	return b.String()
}

// verifySummary says for people what came of a verification.
func verifySummary(s *mirror.VerifySummary) string {
	took := time.Duration(s.Seconds * float64(time.Second)).Round(10 * time.Millisecond)
	read := "read"
	if s.Fast {
		read = "looked at"
	}
	text := fmt.Sprintf("%s %s, %s, in %s: %s", read, count(int(s.Files), "file", "files"), size(s.Bytes), took, flawsText(s))
	if s.Incomplete > 0 {
		text += "; " + count(s.Incomplete, "image is", "images are") + " incomplete, see 'mirror ls --incomplete'"
	}
	return text
}

// flawsText says what was wrong, and what was done about it.
func flawsText(s *mirror.VerifySummary) string {
	var parts []string
	for _, kind := range []mirror.DefectKind{mirror.Damaged, mirror.Missing, mirror.Orphaned, mirror.Dangling, mirror.Broken, mirror.Unread} {
		if n := s.Defects[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	if len(parts) == 0 {
		return "nothing is wrong"
	}
	text := strings.Join(parts, ", ")
	var did []string
	for _, part := range []struct {
		n    int
		what string
	}{{s.Repaired, "mended"}, {s.Fetched, "fetched again"}, {s.Wanted, "wanted"}, {s.Failed, "failed"}} {
		if part.n > 0 {
			did = append(did, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(slices.DeleteFunc([]string{text, strings.Join(did, ", ")}, func(s string) bool { return s == "" }), "; ")
}
