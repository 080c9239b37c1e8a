package ui

import (
	"io"
	"mime"
	"net/http"
	"time"

	"airmirror/api/admin"
)

// exportRequest is what the console sets of a transfer.ExportRequest.
type exportRequest struct {
	Images      []string `json:"images"`
	SkipMissing bool     `json:"skipMissing"`
	Referrers   bool     `json:"referrers"`
}

// exportPlan is what the page about an export of chosen images shows.
type exportPlan struct {
	Names   []string
	Back    string
	Images  []admin.BundleImage
	Dropped int64 // images that are not listed
	Skipped []admin.Notice
	Summary struct {
		Images int   `json:"images"`
		Bytes  int64 `json:"bytes"`
	}
}

// exportImages shows what a bundle of the chosen images would contain. After the user has confirmed that, it sends the bundle.
func exportImages(r *request) (outcome, error) {
	names, err := chosen(r)
	if err != nil {
		return outcome{}, err
	}
	req := exportRequest{Images: names, SkipMissing: true, Referrers: true}
	if r.PostFormValue("confirm") != "" {
		return outcome{sent: true}, sendBundle(r, "bundle", req, nil)
	}
	d := exportPlan{Names: names, Back: backOf(r.PostFormValue("back"))}
	err = r.admin.Call(r.Context(), "export-plan", req, nil, func(e admin.Event) error {
		switch e.Kind {
		case admin.KindImage:
			if len(d.Images) == maxItems {
				d.Dropped++
				return nil
			}
			d.Images = append(d.Images, admin.BundleImage{})
			return e.Decode(&d.Images[len(d.Images)-1])
		case admin.KindSkipped:
			d.Skipped = append(d.Skipped, admin.Notice{})
			return e.Decode(&d.Skipped[len(d.Skipped)-1])
		case admin.KindSummary:
			return e.Decode(&d.Summary)
		}
		return nil
	})
	return outcome{show: "export", data: d}, err
}

// sendBundle sends a bundle as a file, without what a receipt lists; nil for none. If it fails within, the connection breaks, so that the browser reports a failed
// download instead of keeping a part of a bundle.
func sendBundle(r *request, name string, req any, receipt io.Reader) error {
	file := &download{w: r.w, name: name + "-" + time.Now().UTC().Format("20060102-150405") + ".tar"}
	_, err := r.admin.Stream(r.Context(), "export", req, receipt, file)
	if err != nil && file.began {
		panic(http.ErrAbortHandler)
	}
	return err
}

// download writes an answer that a browser stores as a file. The headers are sent with the first bytes.
type download struct {
	w     http.ResponseWriter
	name  string
	began bool
}

// Write implements [io.Writer].
func (d *download) Write(p []byte) (int, error) {
	if !d.began {
		d.began = true
		d.w.Header().Set("Content-Type", "application/x-tar")
		d.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.name}))
	}
	return d.w.Write(p)
}
