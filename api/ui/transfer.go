package ui

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// transferData is what the page of transfers shows.
type transferData struct {
	Job     *transferJob // the job that is looked at; nil for none
	Jobs    []jobRow     // imports and exports
	Waiting []admin.PendingImport
	History []admin.ExportedBundle
}

// transferJob is an import with its results.
type transferJob struct {
	jobRow
	Preview bool
	Summary *admin.TransferSummary // nil until it has ended without an error
	Items   []transferItem
	Dropped int64 // results that are not kept any more
}

// transferItem is a result of an import or a plan.
type transferItem struct {
	Kind                    admin.Kind
	Reference, Name, Reason string
	Size, New               int64
}

// maxItems is the maximum number of results that a page shows.
const maxItems = 500

func transferPage(r *request) (any, error) {
	status, err := r.admin.Status(r.Context())
	if err != nil {
		return nil, err
	}
	d := transferData{Waiting: status.Imports}
	jobs, err := listJobs(r, false)
	if err != nil {
		return nil, err
	}
	for _, job := range jobs {
		if job.Name == "import" || job.Name == "export" {
			d.Jobs = append(d.Jobs, job)
		}
	}
	if d.History, err = history(r); err != nil {
		return nil, err
	}
	if id := r.URL.Query().Get("job"); id != "" {
		d.Job, err = showJob(r, id)
	}
	return d, err
}

// history returns the recorded exports, the latest first.
func history(r *request) (sent []admin.ExportedBundle, err error) {
	err = r.admin.Call(r.Context(), "export-history", nil, nil, func(e admin.Event) error {
		var one admin.ExportedBundle
		err := e.Decode(&one)
		sent = append(sent, one)
		return err
	})
	slices.SortStableFunc(sent, func(a, b admin.ExportedBundle) int { return b.Exported.Compare(a.Exported) })
	return sent, err
}

// showJob returns an import with the results that it has so far.
func showJob(r *request, id string) (*transferJob, error) {
	status, err := r.admin.JobStatus(r.Context(), id)
	if err != nil {
		return nil, err
	}
	j := &transferJob{jobRow: rowOf(status)}
	var req admin.ImportRequest
	j.Preview = json.Unmarshal(status.Request, &req) == nil && req.DryRun
	if status.Summary != nil {
		j.Summary = &admin.TransferSummary{}
		if err := json.Unmarshal(status.Summary, j.Summary); err != nil {
			return nil, err
		}
	}
	if j.Running { // its results are shown when it has ended
		return j, nil
	}
	_ = r.admin.WatchJob(r.Context(), id, 0, func(e admin.Event) error { // its error is part of the status
		var dropped admin.Dropped
		switch {
		case e.Kind == admin.KindDropped && e.Decode(&dropped) == nil:
			j.Dropped += dropped.Count
		case e.Item != nil && len(j.Items) < maxItems:
			j.Items = append(j.Items, itemOf(e))
		case e.Item != nil:
			j.Dropped++
		}
		return nil
	})
	return j, nil
}

// itemOf returns a result of an import or a plan.
func itemOf(e admin.Event) transferItem {
	item := transferItem{Kind: e.Kind}
	_ = json.Unmarshal(e.Item, &item) // other keys, and types, are left out
	item.Kind = e.Kind
	if item.Reference == "" {
		item.Reference = item.Name
	}
	return item
}

// bundlePlan is what an export would contain.
type bundlePlan struct {
	Request admin.ExportRequest
	Images  string // as in the form
	Receipt bool   // a receipt was sent
	Summary admin.TransferSummary
	Items   []transferItem
	Dropped int64
	Disk    int64 // size of a disk in GB; 0 if it does not matter
	Disks   int64 // how many of them are needed
}

// readExportForm reads the fields of the form of an export. It returns the receipt of the destination, which is the last
// part of the form and is read while the export uses it; nil if none was chosen.
func readExportForm(r *request) (receipt io.Reader, err error) {
	if r.PostForm != nil { // a form without a file
		return nil, nil
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, maxReceipt)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeUnsupported, "read the form: %w", err)
	}
	r.PostForm = url.Values{}
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, nil
		case err != nil:
			return nil, mirror.Errorf(mirror.CodeSizeInvalid, "read the form: %w", err)
		case part.FormName() == "receipt" && part.FileName() != "":
			return part, nil
		}
		text, err := io.ReadAll(io.LimitReader(part, maxForm))
		if err != nil {
			return nil, mirror.Errorf(mirror.CodeSizeInvalid, "read the form: %w", err)
		}
		r.PostForm.Add(part.FormName(), string(text))
	}
}

// maxReceipt is the maximum size of a form with a receipt in bytes.
const maxReceipt = 4 << 30

// bundleRequest returns the request of a form that was read.
func bundleRequest(r *request, receipt io.Reader) admin.ExportRequest {
	form := r.PostForm
	req := admin.ExportRequest{
		Images: strings.Fields(form.Get("images")), Platforms: strings.Fields(form.Get("platforms")),
		To: form.Get("to"), Have: receipt != nil, Referrers: form.Get("referrers") != "", All: form.Get("all") != "",
	}
	if form.Get("since") != "" {
		req.Since = "last"
	}
	return req
}

// planExport shows what an export would contain.
func planExport(r *request) (outcome, error) {
	receipt, err := readExportForm(r)
	if err != nil {
		return outcome{}, err
	}
	p := bundlePlan{Request: bundleRequest(r, receipt), Images: r.PostForm.Get("images"), Receipt: receipt != nil}
	err = r.admin.Call(r.Context(), "export-plan", p.Request, receipt, func(e admin.Event) error {
		switch {
		case e.Kind == admin.KindSummary:
			return e.Decode(&p.Summary)
		case e.Item != nil && len(p.Items) < maxItems:
			p.Items = append(p.Items, itemOf(e))
		case e.Item != nil:
			p.Dropped++
		}
		return nil
	})
	_, _ = io.Copy(io.Discard, r.Body) // a browser reads the answer after it has sent everything
	if gigabytes, err := strconv.ParseInt(r.PostForm.Get("disk"), 10, 32); err == nil && gigabytes > 0 {
		p.Disk, p.Disks = gigabytes, max(1, (p.Summary.Bytes+gigabytes*1e9-1)/(gigabytes*1e9))
	}
	return outcome{show: "plan", data: p}, err
}

// downloadExport sends a bundle. An error after its beginning breaks the connection, so that the download fails.
func downloadExport(r *request) (outcome, error) {
	receipt, err := readExportForm(r)
	if err != nil {
		return outcome{}, err
	}
	req := bundleRequest(r, receipt)
	name := "bundle"
	if req.To != "" {
		name = req.To
	}
	return outcome{sent: true}, sendBundle(r, name, req, receipt)
}
