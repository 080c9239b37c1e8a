package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/gc"
)

// collectView shows a collection, or the plan of one.
type collectView struct {
	*jobView
	config collectConfig

	plan   *gc.Plan
	table  *table
	listed int
	kept   []gc.Candidate
	result gc.Result
	budget gc.Budget
}

func newCollectView(cmd *cobra.Command, c collectConfig, asJSON bool) *collectView {
	v := &collectView{jobView: &jobView{out: cmd.OutOrStdout(), json: asJSON}, config: c}
	v.jobView.item, v.summary = v.handle, &v.result
	if !asJSON && !c.DryRun {
		v.progress = newProgressView(cmd, v.out)
	}
	v.table = newTable(v.out, "CANDIDATE", "FREES", "LAST USED", "WHY")
	return v
}

// handle returns the line for an item, and keeps the items of a dry run for the tables at its end.
func (v *collectView) handle(e admin.Event) (string, error) {
	if e.Kind == admin.KindDropped {
		return itemText(e)
	}
	if e.Kind == admin.KindPlan {
		v.plan = &gc.Plan{}
		err := e.Decode(v.plan)
		v.budget = v.plan.Budget
		return "", err
	}
	var c gc.Candidate
	if err := e.Decode(&c); err != nil {
		return "", err
	}
	switch {
	case e.Kind == admin.KindCandidate:
		v.would(&c)
	case e.Kind == admin.KindProtected:
		v.kept = append(v.kept, c)
	case v.config.Blobs || c.Kind != gc.Blob: // blobs are many, and each belongs to an image or is counted in the summary
		return outcomeLine(&c), nil
	}
	return "", nil
}

// would adds a candidate of a dry run to the table.
func (v *collectView) would(item *gc.Candidate) {
	v.listed++
	frees := size(item.Freed)
	if item.Kind == gc.Blob && item.Freed == 0 { // the line of its image includes it
		frees = "(" + size(item.Size) + ")"
	}
	v.table.row(itemName(item), frees, since(item.LastUsed), item.Reason)
}

// itemName returns the name of a candidate for people.
func itemName(item *gc.Candidate) string {
	switch item.Kind {
	case gc.Image:
		if len(item.Tags) > 1 {
			repo, _ := admin.SplitTag(item.Name)
			return repo + ":" + strings.Join(item.Tags, ",")
		}
		return item.Name
	case gc.Manifest:
		repo, d, _ := strings.Cut(item.Name, "@")
		return repo + "@" + short(digest.Digest(d))
	case gc.Tag:
		return "tag " + item.Name
	case gc.Upload:
		return "upload to " + item.Name
	case gc.Orphan:
		return "file " + short(item.Digest)
	}
	return "blob " + short(item.Digest)
}

// outcomeLine returns the line for a candidate that a run deleted or kept.
func outcomeLine(c *gc.Candidate) string {
	switch {
	case c.Kept != "":
		return fmt.Sprintf("kept %s: %s", itemName(c), c.Kept)
	case c.Kind == gc.Tag:
		return fmt.Sprintf("%s: %s", itemName(c), c.Reason)
	}
	return fmt.Sprintf("%s: %s freed: %s", itemName(c), size(c.Freed), c.Reason)
}

// end prints the result, or the plan of a dry run.
func (v *collectView) end() {
	if v.ended {
		v.budget = v.result.Budget
	}
	switch {
	case v.json:
	case v.config.DryRun && v.plan != nil:
		v.endPlan()
	case v.ended:
		v.line(v.resultText())
		if text := waitingText(v.result.InGrace); text != "" {
			v.line(text)
		}
		if text := unreadableText(v.plan); text != "" {
			v.line(text)
		}
	}
	v.jobView.end()
}

// resultText returns the result of a run.
func (v *collectView) resultText() string {
	r := &v.result
	text := fmt.Sprintf("%s freed in %s: %s", size(r.Bytes), time.Duration(r.Seconds*float64(time.Second)).Round(10*time.Millisecond), totalsText(r.Totals))
	if r.Kept > 0 {
		text += fmt.Sprintf("; %s kept, as they are used again", count(r.Kept, "candidate", "candidates"))
	}
	return text + fmt.Sprintf("; %s are stored", size(r.Budget.Stored-r.Bytes))
}

// totalsText returns the numbers of deleted items.
func totalsText(t gc.Totals) string {
	parts := []string{}
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{t.Images, "image", "images"}, {t.Manifests, "manifest", "manifests"}, {t.Tags, "tag", "tags"}, {t.Blobs, "file", "files"},
		{t.Uploads, "upload", "uploads"}, {t.Orphans, "orphaned file", "orphaned files"},
	} {
		if part.n > 0 {
			parts = append(parts, count(part.n, part.one, part.many))
		}
	}
	if len(parts) == 0 {
		return "nothing deleted"
	}
	return strings.Join(parts, ", ")
}

// endPlan prints the plan: the candidates, the budget, and what is protected.
func (v *collectView) endPlan() {
	if v.listed > 0 {
		_ = v.table.Flush() // like other lines, it is lost if the output is closed
		fmt.Fprintln(v.out)
	}
	p := v.plan
	if p.Totals == (gc.Totals{}) {
		fmt.Fprintf(v.out, "nothing would be deleted; %s are stored\n", size(p.Budget.Stored))
	} else {
		fmt.Fprintf(v.out, "%s would be freed: %s; %s are stored\n", size(p.Totals.Bytes), totalsText(p.Totals), size(p.Budget.Stored))
	}
	if text := waitingText(p.InGrace); text != "" {
		fmt.Fprintln(v.out, text)
	}
	if text := budgetText(p.Budget); text != "" {
		fmt.Fprintln(v.out, text)
	}
	if text := unreadableText(p); text != "" {
		fmt.Fprintln(v.out, text)
	}
	if len(p.KeepReasons) > 0 {
		fmt.Fprintln(v.out)
		t := newTable(v.out, "PROTECTED", "IMAGES", "FILES", "WHY")
		for _, r := range p.KeepReasons {
			t.row(size(r.Bytes), fmt.Sprint(r.Images), fmt.Sprint(r.Blobs), r.Reason)
		}
		_ = t.Flush()
	}
	if len(v.kept) > 0 {
		fmt.Fprintln(v.out)
		t := newTable(v.out, "PROTECTED", "SIZE", "LAST USED", "WHY")
		for _, item := range v.kept {
			t.row(itemName(&item), size(item.Size), since(item.LastUsed), item.Reason)
		}
		_ = t.Flush()
	}
}

// unreadableText returns the number of unreadable records of the index; "" if there are none.
func unreadableText(p *gc.Plan) string {
	if p == nil || p.Unreadable == 0 {
		return ""
	}
	return count(p.Unreadable, "record of the index", "records of the index") + " cannot be read, and all content that they may use is kept: see 'mirror verify'"
}

// waitingText returns the amount of content in the grace period; "" if there is none.
func waitingText(w gc.GraceTotals) string {
	if w.Images+w.Blobs == 0 {
		return ""
	}
	parts := count(w.Blobs, "file", "files")
	if w.Images > 0 {
		parts = count(w.Images, "image", "images") + ", " + parts
	}
	return fmt.Sprintf("%s more (%s) are in the grace period of %s, which ends by %s if they are not used; --grace 0s ignores it",
		size(w.Bytes), parts, w.Grace, w.Until.Local().Format(time.DateTime))
}

// budgetText returns the budgets and how much has to be evicted for them.
func budgetText(b gc.Budget) string {
	var parts []string
	if b.MaxSize > 0 {
		parts = append(parts, fmt.Sprintf("the budget is %s", size(b.MaxSize)))
	}
	if b.KeepFree > 0 {
		parts = append(parts, fmt.Sprintf("%s of the disk should be free, and %s are", size(b.KeepFree), size(b.DiskFree)))
	}
	if len(parts) == 0 {
		return ""
	}
	if b.Need > 0 {
		parts = append(parts, fmt.Sprintf("so %s of images have to be evicted", size(b.Need)))
	}
	return strings.Join(parts, ", ")
}
