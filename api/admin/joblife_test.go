package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
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

// TestInputContinuesWhereItBroke breaks the connection in the middle of the input.
func TestInputContinuesWhereItBroke(t *testing.T) {
	content := make([]byte, 3<<20)
	rand.Read(content)
	opts := withJob(func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		all, err := io.ReadAll(body)
		if err == nil && !bytes.Equal(all, content) {
			err = errors.New("the input was changed")
		}
		report.Summary(len(all))
		return err
	})
	url, client := serveJobs(t, opts)
	id := start(t, client, true)
	broken := io.MultiReader(bytes.NewReader(content[:1<<20]), failing{errors.New("the network failed")})
	if _, err := client.SendInput(t.Context(), id, 0, broken, true); err == nil {
		t.Error("input that broke was sent")
	}
	offset := offsetOf(t, url, id)
	if offset > 1<<20 {
		t.Fatalf("the job has read %d bytes", offset)
	}
	if _, err := client.SendInput(t.Context(), id, offset+1, bytes.NewReader(content[offset+1:]), true); mirror.CodeOf(err) != mirror.CodeRangeInvalid {
		t.Errorf("with a gap: %v", err)
	}
	job, err := client.SendInput(t.Context(), id, offset, bytes.NewReader(content[offset:2<<20]), false)
	if err != nil || job.State != admin.JobRunning || job.Input.Offset != 2<<20 || job.Input.Complete {
		t.Errorf("a part: %+v, %v", job, err)
	}
	_, err = client.SendInput(t.Context(), id, 2<<20, bytes.NewReader(content[2<<20:]), true)
	must(t, err)
	if job := ended(t, client, id); job.State != admin.JobSucceeded || !job.Input.Complete || string(job.Summary) != strconv.Itoa(len(content)) {
		t.Errorf("ended: %+v, %+v", job, job.Error)
	}
	if job, err := client.SendInput(t.Context(), id, 0, bytes.NewReader(content), true); err != nil || job.State != admin.JobSucceeded {
		t.Errorf("sent after the end: %+v, %v", job, err)
	}
}

// offsetOf asks where the input of a job continues.
func offsetOf(t *testing.T, url, id string) int64 {
	t.Helper()
	resp, err := http.Head(url + "/api/v1/jobs/" + id + "/input")
	must(t, err)
	resp.Body.Close()
	offset, err := strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || resp.StatusCode != http.StatusNoContent || resp.Header.Get("Upload-Complete") != "?0" {
		t.Fatalf("%s, %v", resp.Status, resp.Header)
	}
	return offset
}

// TestNewRequestForInputInterruptsTheOld has a client that lost its connection without the mirror knowing.
func TestNewRequestForInputInterruptsTheOld(t *testing.T) {
	opts := withJob(func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		one := make([]byte, 4)
		if _, err := io.ReadFull(body, one); err != nil {
			return err
		}
		report.Item(admin.KindNote, string(one))
		rest, err := io.ReadAll(body)
		report.Summary(string(one) + string(rest))
		return err
	})
	url, client := serveJobs(t, opts)
	id := start(t, client, true)
	silent, sender := io.Pipe()
	defer sender.Close()
	first := make(chan error, 1)
	go func() {
		_, err := client.SendInput(t.Context(), id, 0, io.MultiReader(strings.NewReader("head"), silent), true)
		first <- err
	}()
	stop := errors.New("stop")
	if err := client.WatchJob(t.Context(), id, 0, func(admin.Event) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if offset := offsetOf(t, url, id); offset != 4 {
		t.Errorf("continues at %d", offset)
	}
	if err := <-first; err == nil {
		t.Error("the first request succeeded")
	}
	_, err := client.SendInput(t.Context(), id, 4, strings.NewReader("tail"), true)
	must(t, err)
	if job := ended(t, client, id); string(job.Summary) != `"headtail"` {
		t.Errorf("%+v", job)
	}
}

// TestJobReconnects breaks each connection once. The client of an attached job receives everything, and sends everything.
func TestJobReconnects(t *testing.T) {
	content := bytes.Repeat([]byte("content "), 1<<18)
	opts := withJob(func(_ context.Context, _ json.RawMessage, body io.Reader, report admin.Report) error {
		n, err := io.Copy(io.Discard, body)
		for i := range 5 {
			report.Item(admin.KindNote, i)
		}
		report.Summary(n)
		return err
	})
	_, client := serveJobs(t, opts)
	var input, events atomic.Bool // broken
	flaky := admin.NewClient(roundTripper(func(r *http.Request) (*http.Response, error) {
		switch {
		case r.Method == http.MethodPatch && input.CompareAndSwap(false, true):
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 1<<19), failing{errors.New("the network failed")}))
		case strings.HasSuffix(r.URL.Path, "/events") && events.CompareAndSwap(false, true):
			resp, err := client.Transport().RoundTrip(r)
			if err == nil {
				resp.Body = cutAfter{resp.Body}
			}
			return resp, err
		}
		return client.Transport().RoundTrip(r)
	}))
	var got []string
	err := flaky.Job(t.Context(), "work", nil, bytes.NewReader(content), func(e admin.Event) error {
		if e.Kind != admin.KindProgress {
			got = append(got, string(e.Item)+string(e.Summary))
		}
		return nil
	})
	if want := []string{"0", "1", "2", "3", "4", strconv.Itoa(len(content))}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if !input.Load() || !events.Load() {
		t.Error("no connection broke")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// cutAfter is the body of an answer that breaks off after the first piece.
type cutAfter struct{ io.ReadCloser }

func (c cutAfter) Read(p []byte) (int, error) {
	n, _ := c.ReadCloser.Read(p)
	return n, errors.New("the network failed")
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

// TestServerSentEvents watches a job as a browser does, and continues after an event.
func TestServerSentEvents(t *testing.T) {
	opts := withJob(func(_ context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		for i := range 3 {
			report.Item(admin.KindNote, i)
		}
		report.Progress(admin.Progress{Done: 1, Total: 2})
		report.Progress(admin.Progress{Done: 2, Total: 2})
		report.Summary("done")
		return nil
	})
	url, client := serveJobs(t, opts)
	id := start(t, client, false)
	ended(t, client, id)
	watch := func(last string) (status int, ids, kinds string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, url+"/api/v1/jobs/"+id+"/events", nil)
		must(t, err)
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Last-Event-ID", last)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				ids += id
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var event struct{ Kind, State string }
				must(t, json.Unmarshal([]byte(text), &event))
				kinds += event.Kind + event.State + " "
			}
		}
		return resp.StatusCode, ids, kinds
	}
	for _, tt := range []struct {
		last       string
		status     int
		ids, kinds string
	}{
		{"", http.StatusOK, "1234", "note note note progress summary succeeded "},
		{"2", http.StatusOK, "34", "note progress summary succeeded "},
		{"4", http.StatusNoContent, "", ""}, // a browser does not connect again after that
		{"x", http.StatusRequestedRangeNotSatisfiable, "", ""},
	} {
		if status, ids, kinds := watch(tt.last); status != tt.status || ids != tt.ids || kinds != tt.kinds {
			t.Errorf("after %q: %d, %s, %s", tt.last, status, ids, kinds)
		}
	}
}

// TestOldEventsAreDropped has a job with more events than are kept. Its watchers receive how many are missing.
func TestOldEventsAreDropped(t *testing.T) {
	const events, size = 3000, 1 << 10
	opts := withJob(func(_ context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		for range events {
			report.Item(admin.KindNote, strings.Repeat("x", size))
		}
		return nil
	})
	_, client := serveJobs(t, opts)
	id := start(t, client, false)
	ended(t, client, id)
	var dropped admin.Dropped
	received := 0
	must(t, client.WatchJob(t.Context(), id, 0, func(e admin.Event) error {
		if e.Kind == admin.KindDropped {
			return e.Decode(&dropped)
		}
		received++
		return nil
	}))
	if received*size > 1<<20 || received < 900 || dropped.Count != int64(events-received) {
		t.Errorf("%d events, %d dropped", received, dropped.Count)
	}
	received = 0
	must(t, client.Job(t.Context(), "work", nil, nil, func(admin.Event) error { received++; return nil }))
	if received != events {
		t.Errorf("the client of an attached job received %d events", received)
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

// TestWatcherReceivesHeartbeats reads what a watcher receives of a silent job.
func TestWatcherReceivesHeartbeats(t *testing.T) {
	wait := func(ctx context.Context, _ json.RawMessage, _ io.Reader, _ admin.Report) error {
		<-ctx.Done()
		return nil
	}
	inBubble(t, wait, func(t *testing.T, client *admin.Client) {
		id := start(t, client, false)
		req := httptest.NewRequest(http.MethodGet, "http://mirror/api/v1/jobs/"+id+"/events", nil)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := client.Transport().RoundTrip(req)
		must(t, err)
		defer resp.Body.Close()
		began := time.Now()
		beat := make([]byte, 4)
		for range 3 {
			if _, err := io.ReadFull(resp.Body, beat); err != nil || string(beat) != ": \n\n" {
				t.Errorf("received %q, %v", beat, err)
			}
		}
		if took := time.Since(began); took != 45*time.Second {
			t.Errorf("three heartbeats in %s", took)
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
		time.Sleep(25 * time.Hour)
		if n := listed(); n != 0 {
			t.Errorf("%d jobs are listed a day later", n)
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
