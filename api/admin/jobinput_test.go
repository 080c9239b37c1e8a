package admin_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"airmirror/api/admin"
	"airmirror/mirror"
)

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
