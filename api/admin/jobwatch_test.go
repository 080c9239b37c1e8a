package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airmirror/api/admin"
)

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
