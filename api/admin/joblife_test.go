package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// serveJobs serves jobs over TCP to a sender that may do everything, but is not on the machine of the mirror.
func serveJobs(t *testing.T, opts admin.Options) (url string, client *admin.Client) {
	t.Helper()
	m, _ := open(t)
	handler := admin.New(m, opts)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access := admin.Access{User: "alice", Address: "192.0.2.7", Rights: allRights{}}
		handler.ServeHTTP(w, r.WithContext(admin.WithAccess(r.Context(), access)))
	}))
	t.Cleanup(func() {
		must(t, handler.Close(context.Background()))
		server.Close()
	})
	return server.URL, admin.NewClient(toServer{server})
}

// toServer sends the requests of a client to a test server.
type toServer struct{ *httptest.Server }

func (s toServer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = strings.TrimPrefix(s.URL, "http://")
	return s.Client().Transport.RoundTrip(r)
}

// start starts the job "work".
func start(t *testing.T, client *admin.Client, input bool) string {
	t.Helper()
	job, err := client.StartJob(t.Context(), "work", map[string]int{"n": 1}, input)
	must(t, err)
	return job.ID
}

// ended returns the state of a job after its end.
func ended(t *testing.T, client *admin.Client, id string) admin.JobStatus {
	t.Helper()
	_ = client.WatchJob(t.Context(), id, 0, ignore)
	job, err := client.JobStatus(t.Context(), id)
	must(t, err)
	return job
}

func TestJobOutlivesItsClient(t *testing.T) {
	proceed := make(chan struct{})
	opts := withJob(func(_ context.Context, request json.RawMessage, _ io.Reader, report admin.Report) error {
		<-proceed
		report.Item(admin.KindNote, request)
		report.Summary(map[string]int{"images": 3})
		return nil
	})
	opts.Detail = func(name string, request json.RawMessage) json.RawMessage { return request }
	url, client := serveJobs(t, opts)
	id := start(t, client, false)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := client.WatchJob(ctx, id, 0, ignore); !errors.Is(err, context.Canceled) {
		t.Errorf("watched until %v", err)
	}
	job, err := client.JobStatus(t.Context(), id)
	must(t, err)
	if job.State != admin.JobRunning || job.User != "alice" || job.Address != "192.0.2.7" || string(job.Request) != `{"n":1}` || job.Started.IsZero() {
		t.Errorf("running: %+v", job)
	}
	close(proceed)
	job = ended(t, client, id)
	if job.State != admin.JobSucceeded || string(job.Summary) != `{"images":3}` || job.Ended.IsZero() || job.Error != nil {
		t.Errorf("ended: %+v", job)
	}
	all, err := client.Jobs(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != id {
		t.Errorf("listed: %+v, %v", all, err)
	}
	if _, err := client.JobStatus(t.Context(), "absent"); mirror.CodeOf(err) != mirror.CodeNameUnknown {
		t.Errorf("an unknown job: %v", err)
	}
	resp, err := http.Post(url+"/api/v1/jobs/work", "application/json", strings.NewReader("null"))
	must(t, err)
	resp.Body.Close()
	if at := resp.Header.Get("Location"); !strings.HasPrefix(at, "/api/v1/jobs/") || len(at) != len("/api/v1/jobs/")+12 {
		t.Errorf("a job started at %q", at)
	}
}

func TestJobIsCanceled(t *testing.T) {
	opts := withJob(func(ctx context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "started")
		<-ctx.Done()
		return ctx.Err()
	})
	_, client := serveJobs(t, opts)
	id := start(t, client, false)
	watched := make(chan error, 2)
	for range cap(watched) {
		go func() { watched <- client.WatchJob(t.Context(), id, 0, ignore) }()
	}
	_, err := client.CancelJob(t.Context(), id)
	must(t, err)
	for range cap(watched) {
		if err := <-watched; mirror.CodeOf(err) != mirror.CodeUnavailable || err.Error() != "the job was canceled" {
			t.Errorf("a watcher: %v", err)
		}
	}
	job := ended(t, client, id)
	if job.State != admin.JobCanceled || job.Error.Message != "the job was canceled" {
		t.Errorf("%+v", job)
	}
	if job, err := client.CancelJob(t.Context(), id); err != nil || job.State != admin.JobCanceled {
		t.Errorf("canceled again: %+v, %v", job, err)
	}
}

// inBubble runs a test with the clock of synctest, and a client in this process that is not on the machine of the mirror.
func inBubble(t *testing.T, job admin.Job, test func(t *testing.T, client *admin.Client)) {
	m, _ := open(t)
	synctest.Test(t, func(t *testing.T) {
		handler := admin.New(m, withJob(job))
		transport := admin.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler.ServeHTTP(w, r.WithContext(admin.WithAccess(r.Context(), admin.Access{Rights: allRights{}})))
		}))
		test(t, admin.NewClient(transport))
		must(t, handler.Close(context.Background()))
		transport.Wait()
	})
}

func TestJobEndsWithoutInput(t *testing.T) {
	read := func(_ context.Context, _ json.RawMessage, body io.Reader, _ admin.Report) error {
		_, err := io.Copy(io.Discard, body)
		return err
	}
	inBubble(t, read, func(t *testing.T, client *admin.Client) {
		id := start(t, client, true)
		time.Sleep(9 * time.Minute)
		_, err := client.SendInput(t.Context(), id, 0, strings.NewReader("part"), false)
		must(t, err)
		time.Sleep(9 * time.Minute)
		job, err := client.JobStatus(t.Context(), id)
		must(t, err)
		if job.State != admin.JobRunning || job.Input.Offset != 4 {
			t.Errorf("after a part: %+v", job)
		}
		time.Sleep(2 * time.Minute)
		job, err = client.JobStatus(t.Context(), id)
		must(t, err)
		if job.State != admin.JobCanceled || !strings.Contains(job.Error.Message, "input did not arrive within 10m") {
			t.Errorf("without input: %+v", job)
		}
	})
}

func TestAttachedJobEndsWithoutItsClient(t *testing.T) {
	wait := func(ctx context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		report.Item(admin.KindNote, "started")
		<-ctx.Done()
		return ctx.Err()
	}
	inBubble(t, wait, func(t *testing.T, client *admin.Client) {
		post := func(path string) admin.JobStatus {
			resp, err := client.Transport().RoundTrip(httptest.NewRequest(http.MethodPost, "http://mirror/api/v1/"+path, nil))
			must(t, err)
			defer resp.Body.Close()
			var job admin.JobStatus
			must(t, json.NewDecoder(resp.Body).Decode(&job))
			return job
		}
		attached, detached := post("jobs/work?attached=1"), post("jobs/work")
		time.Sleep(29 * time.Second)
		state := func(id string) admin.JobState {
			job, err := client.JobStatus(t.Context(), id)
			must(t, err)
			return job.State
		}
		if got := state(attached.ID); got != admin.JobRunning {
			t.Errorf("after 29 seconds: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := state(attached.ID); got != admin.JobCanceled {
			t.Errorf("after 31 seconds: %s", got)
		}
		time.Sleep(time.Hour)
		if got := state(detached.ID); got != admin.JobRunning {
			t.Errorf("a job that nobody is attached to: %s", got)
		}
	})
}

func TestEndedJobsAreForgotten(t *testing.T) {
	quick := func(context.Context, json.RawMessage, io.Reader, admin.Report) error { return nil }
	inBubble(t, quick, func(t *testing.T, client *admin.Client) {
		listed := func() int {
			jobs, err := client.Jobs(t.Context())
			must(t, err)
			return len(jobs)
		}
		for range 250 {
			start(t, client, false)
			synctest.Wait()
		}
		if n := listed(); n != 200 {
			t.Errorf("%d jobs are listed", n)
		}
		time.Sleep(31 * 24 * time.Hour)
		if n := listed(); n != 0 {
			t.Errorf("%d jobs are listed a month later", n)
		}
	})
}

func TestStreamIsListedAndCanceled(t *testing.T) {
	opts := withStream(func(ctx context.Context, _ json.RawMessage, _ io.Reader, out io.Writer) error {
		_, err := io.Copy(out, endless{})
		return err
	})
	_, client := serveJobs(t, opts)
	var got admin.JobStatus
	_, err := client.Stream(t.Context(), "work", nil, nil, writerFunc(func() {
		jobs, err := client.Jobs(t.Context())
		must(t, err)
		if got = jobs[0]; got.Progress != nil {
			_, err := client.CancelJob(t.Context(), got.ID)
			must(t, err)
		}
	}))
	if mirror.CodeOf(err) != mirror.CodeUnavailable || !strings.Contains(err.Error(), "the job was canceled") {
		t.Errorf("the stream: %v", err)
	}
	if got.Name != "work" || got.Progress == nil || got.Progress.Done == 0 || got.User != "alice" {
		t.Errorf("listed as %+v", got)
	}
}

// allRights are the rights of an administrator.
type allRights struct{}

func (allRights) Allows(registry.Action, mirror.Repo) bool { return true }
func (allRights) AllowsAny(registry.Action) bool           { return true }
