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

// verifyConfig are the flags of `mirror verify`.
type verifyConfig struct {
	admin.VerifyRequest
	rate gc.Size
	rebuildConfig
}

func newVerifyCommand() *cobra.Command {
	q, c := &adminCommand{}, verifyConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "verify",
		Short: "Verify stored content, and repair it",
		Long: `Read all stored content and report defects: damaged or missing files, orphaned files that are not in
the index, and dangling entries of the index. Clients are served meanwhile.

With --repair, damaged files are moved to the quarantine. Damaged and missing files are fetched again
from their upstream. What cannot be fetched becomes a want and remains a defect; a later --repair
tries again. Intact orphaned files are added to the index,
and dangling entries are deleted.

If the index is lost or damaged, stop the server and use --rebuild to create a new index from the
files. The old index is kept beside it. Names and other information that only an index has are taken
from the old index as far as it is readable, then from a backup ('mirror backup') or a receipt
('mirror sync --receipt'). A backup or receipt also restores images that were deleted since. Content
that could not be read or restored is reported.

Exit codes: 0 no defects, or all were repaired, 8 defects remain; others as for serve.`,
		Example: `  mirror verify
  mirror verify --fast
  mirror verify --repair --rate 50MB
  mirror verify --rebuild --backup /backup/index.db`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		return verify(cmd, client, c.VerifyRequest, q.json)
	})
	f := cmd.Flags()
	f.BoolVar(&c.Fast, "fast", false, "do not read content: compare sizes, and check the index")
	f.BoolVar(&c.Repair, "repair", false, "repair defects")
	f.TextVar(&c.rate, "rate", gc.Size(0), "read at most this `size` per second, such as 50MB")
	f.Lookup("rate").DefValue = ""
	addDetachFlag(f)
	f.BoolVar(&c.rebuild, "rebuild", false, "create a new index from the files, while no server runs")
	f.StringVar(&c.backup, "backup", "", "with --rebuild, add content of this backup `file` from 'mirror backup'")
	f.StringVar(&c.receipt, "receipt", "", "with --rebuild, add names in this receipt `file` from 'mirror sync --receipt'")
	online := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.Rate = int64(c.rate)
		switch {
		case c.rebuild && isDetached(cmd):
			return &exitError{exitUsage, errors.New("--detach does not apply to --rebuild, for which the server must not run")}
		case c.rebuild && c.Repair:
			return &exitError{exitUsage, errors.New("--rebuild and --repair cannot be combined")}
		case c.rebuild:
			return rebuild(cmd, q, c)
		case c.backup != "" || c.receipt != "":
			return &exitError{exitUsage, errors.New("--backup and --receipt need --rebuild")}
		}
		return online(cmd, args)
	}
	return cmd
}

// verify runs a verification and shows the defects.
func verify(cmd *cobra.Command, client *admin.Client, req admin.VerifyRequest, asJSON bool) error {
	if isDetached(cmd) {
		return startDetached(cmd, client, "verify", req, asJSON)
	}
	return showVerification(cmd, req, asJSON, func(show eventHandler) error { return client.Job(cmd.Context(), "verify", req, nil, show) })
}

// showVerification shows a verification, and returns an error if defects remain.
func showVerification(cmd *cobra.Command, req admin.VerifyRequest, asJSON bool, run func(eventHandler) error) error {
	v := &verifyView{jobView: newJobView(cmd, asJSON), repair: req.Repair}
	v.item, v.summary = v.defect, &v.result
	v.label = func(admin.Progress) string { return count(v.found, "defect", "defects") }
	err := run(v.event)
	if v.ended && !asJSON {
		v.line(verifySummary(&v.result))
	}
	v.end()
	if v.dropped || v.found == 0 {
		v.wrong = wrongOf(&v.result)
	}
	switch {
	case err != nil:
		return err
	case v.wrong > 0 && req.Repair:
		return &exitError{exitDefects, fmt.Errorf("%s could not be repaired%s", count(v.wrong, "defect", "defects"), wantedAdvice(v.result.Wanted))}
	case v.wrong > 0:
		return &exitError{exitDefects, fmt.Errorf("%s found: 'mirror verify --repair' repairs what it can", count(v.wrong, "defect was", "defects were"))}
	}
	return nil
}

// wantedAdvice says how lost content that became a want is stored again.
func wantedAdvice(wanted int) string {
	if wanted == 0 {
		return ""
	}
	return "; 'mirror wants' says why: fetch the images again with 'mirror sync', or import or push them"
}

// verifyView counts the defects that a verification reports.
type verifyView struct {
	*jobView
	repair bool
	result mirror.VerifySummary
	found  int
	wrong  int // not repaired
	// dropped says that the mirror has not kept all defects. None are kept over a restart.
	dropped bool
}

// wrongOf returns how many defects were not repaired, by the summary.
func wrongOf(s *mirror.VerifySummary) (n int) {
	if s.Repair {
		return s.Failed + s.Wanted
	}
	for _, defects := range s.Defects {
		n += defects
	}
	return n
}

// defect returns the line for a defect.
func (v *verifyView) defect(e admin.Event) (string, error) {
	if e.Kind == admin.KindDropped {
		v.dropped = true
		return itemText(e)
	}
	var d mirror.VerifyEvent
	if err := e.Decode(&d); err != nil {
		return "", err
	}
	if d.IsLeftover() {
		return defectLine(&d), nil
	}
	v.found++
	if !v.repair || !repaired(&d) {
		v.wrong++
	}
	return defectLine(&d), nil
}

// repaired reports whether a defect was repaired.
func repaired(e *mirror.VerifyEvent) bool {
	switch {
	case e.Error != "" || e.Wanted || e.Kind == mirror.Broken:
		return false
	case e.Kind == mirror.Dangling:
		return e.Repaired
	}
	return true
}

// defectLine returns the line for a defect and its repair.
func defectLine(e *mirror.VerifyEvent) string {
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
	}{{e.Fetched, "fetched again"}, {e.Repaired && !e.Fetched && !e.Wanted, "repaired"}, {e.Wanted, "recorded as a want, as it could not be fetched again"}} {
		if did.what {
			b.WriteString("; " + did.text)
		}
	}
	if e.Error != "" {
		b.WriteString("; " + e.Error)
	}
	return b.String()
}

// verifySummary returns the result of a verification.
func verifySummary(s *mirror.VerifySummary) string {
	took := time.Duration(s.Seconds * float64(time.Second)).Round(10 * time.Millisecond)
	read := "read"
	if s.Fast {
		read = "checked"
	}
	text := fmt.Sprintf("%s %s, %s, in %s: %s", read, count(int(s.Files), "file", "files"), size(s.Bytes), took, defectsText(s))
	if s.Leftovers > 0 {
		text += "; " + count(s.Leftovers, "file that a crash left is", "files that a crash left are") + " deleted by 'mirror gc'"
	}
	if s.Incomplete > 0 {
		text += "; " + count(s.Incomplete, "image is", "images are") + " incomplete, see 'mirror ls --incomplete'"
	}
	return text
}

func wantText(n int) string {
	if n == 1 {
		return "a want"
	}
	return "wants"
}

// defectsText returns the numbers of defects and repairs.
func defectsText(s *mirror.VerifySummary) string {
	var parts []string
	for _, kind := range []mirror.DefectKind{mirror.Damaged, mirror.Missing, mirror.Orphaned, mirror.Dangling, mirror.Broken, mirror.Unread} {
		if n := s.Defects[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	if len(parts) == 0 {
		return "no defects"
	}
	text := strings.Join(parts, ", ")
	var did []string
	for _, part := range []struct {
		n    int
		what string
	}{{s.Fetched, "fetched again"}, {s.Wanted, "recorded as " + wantText(s.Wanted)}, {max(0, s.Repaired-s.Fetched-s.Wanted), "repaired"}, {s.Failed, "failed"}} {
		if part.n > 0 {
			did = append(did, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(slices.DeleteFunc([]string{text, strings.Join(did, ", ")}, func(s string) bool { return s == "" }), "; ")
}
