package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// TestJobsAreKnownAfterARestart checks jobs that ended, and one that was running when the process was killed.
func TestJobsAreKnownAfterARestart(t *testing.T) {
	m, store := open(t)
	proceed := make(chan struct{})
	opts := admin.Options{State: store, Jobs: map[string]admin.Job{
		"works": func(_ context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
			report.Item(admin.KindNote, "done")
			report.Summary(map[string]int{"images": 3})
			return nil
		},
		"fails": func(context.Context, json.RawMessage, io.Reader, admin.Report) error {
			return mirror.Errorf(mirror.CodeDigestInvalid, "the bundle is damaged")
		},
		"waits": func(ctx context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
			select {
			case <-proceed:
			case <-ctx.Done():
			}
			return ctx.Err()
		},
		"large": func(_ context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
			report.Summary(strings.Repeat("x", 1<<20))
			return nil
		},
	}, Detail: func(_ string, request json.RawMessage) json.RawMessage { return request }}
	serve := func() (*admin.Handler, *admin.Client) {
		handler := admin.New(m, opts)
		transport := admin.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			access := admin.Access{User: "alice", Address: "192.0.2.7", Rights: allRights{}}
			handler.ServeHTTP(w, r.WithContext(admin.WithAccess(r.Context(), access)))
		}))
		t.Cleanup(transport.Wait)
		t.Cleanup(func() { must(t, handler.Close(context.Background())) })
		return handler, admin.NewClient(transport)
	}
	_, client := serve()
	ids := map[string]string{}
	for _, name := range []string{"works", "fails", "large", "waits"} {
		job, err := client.StartJob(t.Context(), name, map[string]int{"n": 1}, false)
		must(t, err)
		ids[name] = job.ID
		if name != "waits" {
			ended(t, client, job.ID)
		}
	}
	_, client = serve() // the state is that of a process that was killed
	jobs, err := client.Jobs(t.Context())
	must(t, err)
	if len(jobs) != 4 || jobs[0].ID != ids["waits"] || jobs[3].ID != ids["works"] {
		t.Fatalf("listed after a restart: %+v", jobs)
	}
	for name, want := range map[string]struct {
		state   admin.JobState
		summary string
		failure string
	}{
		"works": {admin.JobSucceeded, `{"images":3}`, ""},
		"fails": {admin.JobFailed, "", "the bundle is damaged"},
		"large": {admin.JobSucceeded, "", ""},
		"waits": {admin.JobCanceled, "", "the mirror stopped before the job had ended: what it has stored so far stays, so start it again"},
	} {
		job, err := client.JobStatus(t.Context(), ids[name])
		must(t, err)
		failure := ""
		if job.Error != nil {
			failure = job.Error.Message
		}
		if job.State != want.state || string(job.Summary) != want.summary || failure != want.failure || job.User != "alice" || job.Address != "192.0.2.7" ||
			job.Started.IsZero() || job.Ended.IsZero() {
			t.Errorf("%s after a restart: %+v, %s", name, job, failure)
		}
		for _, after := range []int64{0, 7} { // the number that a watcher of the earlier process knows
			err := client.WatchJob(t.Context(), ids[name], after, ignore)
			if got := errorText(err); got != want.failure {
				t.Errorf("%s is watched until %q", name, got)
			}
		}
	}
	close(proceed)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
