package ui

import (
	"airmirror/api/admin"
)

// maxJobs is how many jobs a page lists.
const maxJobs = 20

// jobRow is a job as pages show it.
type jobRow struct {
	admin.JobStatus
	Kind    string // of its state: "ok", "warn", "bad" or "off"
	Running bool
}

// listJobs returns the latest jobs that the client may see, those that run first.
func listJobs(r *request, runningOnly bool) ([]jobRow, error) {
	jobs, err := r.admin.Jobs(r.Context())
	var running, ended []jobRow
	for _, job := range jobs {
		if row := rowOf(job); row.Running {
			running = append(running, row)
		} else {
			ended = append(ended, row)
		}
	}
	if !runningOnly {
		running = append(running, ended...)
	}
	return running[:min(len(running), maxJobs)], err
}

// rowOf returns a job as pages show it.
func rowOf(job admin.JobStatus) jobRow {
	row := jobRow{JobStatus: job, Kind: "off"}
	switch job.State {
	case admin.JobRunning:
		row.Kind, row.Running = "ok", true
	case admin.JobFailed:
		row.Kind = "bad"
	case admin.JobCanceled:
		row.Kind = "warn"
	}
	return row
}

// verify starts a verification, which goes on when the page is closed.
func verify(r *request) (outcome, error) {
	req := admin.VerifyRequest{Fast: r.PostFormValue("fast") != "", Repair: r.PostFormValue("repair") != ""}
	_, err := r.admin.StartJob(r.Context(), "verify", req, false)
	return outcome{notice: "verify", count: 1}, err
}

func cancelJob(r *request) (outcome, error) {
	_, err := r.admin.CancelJob(r.Context(), r.PostFormValue("job"))
	return outcome{notice: "cancel", count: 1}, err
}
