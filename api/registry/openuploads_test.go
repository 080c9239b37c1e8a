package registry_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/registry"
)

// bounded returns a registry with a limit of open uploads per client. The header Who names the client.
func bounded(t *testing.T, most int) (open *registry.OpenUploads, ask func(who, method, path, body string) answer) {
	t.Helper()
	open = registry.NewOpenUploads(func() int { return most }, func(r *http.Request) string { return r.Header.Get("Who") })
	s := start(t, registry.Options{OpenUploads: open})
	return open, func(who, method, path, body string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		s.must(err)
		r.Header.Set("Who", who)
		resp, err := http.DefaultClient.Do(r)
		s.must(err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		s.must(err)
		return answer{resp, text}
	}
}

const uploads = "/v2/team/app/blobs/uploads/"

func TestOpenUploadsOfAClientAreLimited(t *testing.T) {
	open, ask := bounded(t, 2)
	begin := func(who string, want int) (location string) {
		t.Helper()
		w := ask(who, "POST", uploads, "")
		if w.StatusCode != want {
			t.Fatalf("%s begins an upload: %d, want %d\n%s", who, w.StatusCode, want, w.body)
		}
		if want == 429 && (w.Header.Get("Retry-After") == "" || !strings.Contains(string(w.body), "TOOMANYREQUESTS") || !strings.Contains(string(w.body), who)) {
			t.Errorf("refused with %v %s", w.Header, w.body)
		}
		return w.Header.Get("Location")
	}
	want := func(status int, w answer) {
		t.Helper()
		if w.StatusCode != status {
			t.Errorf("%d, want %d\n%s", w.StatusCode, status, w.body)
		}
	}
	of := func(text string) string { return "?digest=" + digest.FromString(text).String() }
	first := begin("alice", 202)
	second := begin("alice", 202)
	begin("alice", 429)
	begin("bob", 202)
	want(201, ask("alice", "POST", uploads+of("whole"), "whole")) // completed by its own request
	begin("alice", 429)
	want(202, ask("alice", "PATCH", first, "content")) // an upload in progress continues
	begin("alice", 429)

	want(201, ask("alice", "PUT", first+of("content"), ""))
	third := begin("alice", 202)
	begin("alice", 429)
	want(204, ask("bob", "DELETE", second, "")) // it counts for alice, whoever ends it
	fourth := begin("alice", 202)
	begin("alice", 429)
	want(400, ask("alice", "PUT", third+of("other"), "content")) // the digest is wrong, which ends the upload
	begin("alice", 202)
	begin("alice", 429)
	want(404, ask("alice", "DELETE", uploads+"none", ""))
	begin("alice", 429)
	id := fourth[strings.LastIndexByte(fourth, '/')+1:]
	for range 2 {
		open.End(id)
	}
	begin("alice", 202)
	begin("alice", 429)
}

// TestRefusedUploadIsNotCounted: neither one that the store refuses nor one above the limit.
func TestRefusedUploadIsNotCounted(t *testing.T) {
	_, ask := bounded(t, 1)
	for range 3 {
		if w := ask("alice", "POST", uploads+"?digest-algorithm=md5", ""); w.StatusCode != 400 {
			t.Errorf("%d", w.StatusCode)
		}
	}
	if w := ask("alice", "POST", uploads, ""); w.StatusCode != 202 {
		t.Errorf("%d %s", w.StatusCode, w.body)
	}
	_, free := bounded(t, 0)
	for range 20 {
		if w := free("alice", "POST", uploads, ""); w.StatusCode != 202 {
			t.Errorf("without a bound: %d", w.StatusCode)
		}
	}
}

// TestConcurrentUploadsDoNotExceedTheLimit: exactly as many start as the limit allows.
func TestConcurrentUploadsDoNotExceedTheLimit(t *testing.T) {
	_, ask := bounded(t, 5)
	var begun atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if ask("alice", "POST", uploads, "").StatusCode == 202 {
				begun.Add(1)
			}
		})
	}
	if all.Wait(); begun.Load() != 5 {
		t.Errorf("%d began", begun.Load())
	}
}

// TestAbandonedUploadsLeaveRoomForOtherClients.
func TestAbandonedUploadsLeaveRoomForOtherClients(t *testing.T) {
	_, ask := bounded(t, 8)
	begin := func(who string) (n int) {
		for ask(who, "POST", uploads, "").StatusCode == 202 {
			n++
		}
		return n
	}
	for i, want := range []int{8, 4, 2} { // of 16
		if n := begin(strings.Repeat("flood", i+1)); n != want {
			t.Errorf("%d. flood: %d uploads, want %d", i+1, n, want)
		}
	}
	if w := ask("honest", "POST", uploads, ""); w.StatusCode != 202 {
		t.Errorf("another client: %d %s", w.StatusCode, w.body)
	}
}
