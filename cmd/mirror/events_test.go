package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"airmirror/api/events"
)

// told is a receiver of events.
type told struct {
	*httptest.Server

	mu     sync.Mutex
	refuse bool
	asked  int
	got    []string // action, repository and tag or "blob" of each event, in order
	tokens []string
}

func newTold(t *testing.T) *told {
	l := &told{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var envelope struct{ Events []events.Event }
		err := json.NewDecoder(r.Body).Decode(&envelope)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked++
		if l.refuse {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		l.tokens = append(l.tokens, r.Header.Get("Authorization"))
		for _, e := range envelope.Events {
			what := e.Target.Tag
			if e.Target.MediaType == "application/octet-stream" {
				what = "blob"
			}
			l.got = append(l.got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Action, e.Target.Repository, what, e.Target.FromRepository)))
			if e.ID == "" || e.Source.InstanceID == "" || e.Target.Digest == "" && e.Action != events.Delete && e.Action != events.Want {
				t.Errorf("%+v", e)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *told) refuses(refuse bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refuse
}

func (l *told) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// hears waits for the last expected event, and compares all events since the last call. Changes arrive in order. Pulls and
// wants arrive in order too, but changes can overtake them.
func (l *told) hears(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, "there comes "+want[len(want)-1], func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.got) >= len(want)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(changesFirst(l.got), changesFirst(want)) {
		t.Errorf("told of %q, want %q", l.got, want)
	}
	l.got = nil
}

// changesFirst moves pulls and wants behind changes, and keeps the order of both.
func changesFirst(told []string) []string {
	rank := func(what string) int {
		if strings.HasPrefix(what, "pull ") || strings.HasPrefix(what, "want ") {
			return 1
		}
		return 0
	}
	told = slices.Clone(told)
	slices.SortStableFunc(told, func(a, b string) int { return rank(a) - rank(b) })
	return told
}

// TestEventsAreDelivered checks the events of an offline mirror, also after kill -9.
func TestEventsAreDelivered(t *testing.T) {
	here, beyond := newTold(t), newTold(t)
	dir := t.TempDir()
	data, file, token, bundle := filepath.Join(dir, "data"), filepath.Join(dir, "mirror.yaml"), filepath.Join(dir, "token"), filepath.Join(dir, "b.tar")
	must(t, os.WriteFile(token, []byte("Bearer opensesame\n"), 0o600))
	must(t, os.WriteFile(file, fmt.Appendf(nil, `
local: ["docker.io/team/**"]
events:
  endpoints:
    - {name: here, url: "%s/hook", offline: true, headers: [{name: Authorization, valueFile: "%s"}]}
    - {name: beyond, url: "%s", headers: [{name: X-Token, value: opensesame}]}
`, here.URL, token, beyond.URL), 0o600))
	p := spawn(t, data, "--config", file, "--offline")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("mirror", append(args, "--data", data)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	ask := func(method, path string) {
		t.Helper()
		req, err := http.NewRequest(method, p.url+path, nil)
		must(t, err)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		must(t, err)
	}

	img := mustImage(t)
	push(t, p.url, "team/app:v1", img)
	here.hears(t, "push team/app blob", "push team/app blob", "push team/app v1")
	layers, err := img.Layers()
	must(t, err)
	layer, err := layers[0].Digest()
	must(t, err)
	ask("GET", "/v2/team/app/manifests/v1")
	ask("GET", blobPath("team/app", layer))
	ask("POST", "/v2/team/other/blobs/uploads/?mount="+layer.String()+"&from=team/app")
	ask("GET", "/v2/library/none/manifests/v1")
	ask("GET", "/v2/library/none/manifests/v1") // no new want
	run("export", "--bundle", bundle, "team/app:v1")
	ask("DELETE", "/v2/team/app/manifests/v1")
	run("sync", "--bundle", bundle, "--dry-run")
	run("sync", "--bundle", bundle)
	here.hears(t, "pull team/app v1", "pull team/app blob", "mount team/other blob team/app", "want library/none v1", "delete team/app v1", "import team/app v1")
	if here.tokens[0] != "Bearer opensesame" {
		t.Errorf("the token is %q", here.tokens[0])
	}
	push(t, p.url, "team/app:v1", mustImage(t))
	again := exec.Command("mirror", "sync", "--data", data, "--bundle", bundle) // which leaves the tag where it was pushed to
	if out, _ := again.CombinedOutput(); again.ProcessState.ExitCode() != exitMissing {
		t.Errorf("a tag that stayed: exit code %d\n%s", again.ProcessState.ExitCode(), out)
	}
	here.hears(t, "push team/app blob", "push team/app blob", "push team/app v1")

	for _, want := range []string{"here      0        0     ok", "beyond    12       0     waiting until the mirror is online"} {
		if status := run("status"); !strings.Contains(status, want) || strings.Contains(status, "/hook") {
			t.Errorf("status lacks %q:\n%s", want, status)
		}
	}
	resp, err := http.Get(p.url + "/metrics")
	must(t, err)
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	resp.Body.Close()
	for _, want := range []string{`mirror_events_delivered_total{endpoint="here"} 12`, `mirror_events_waiting{endpoint="beyond"} 12`, `mirror_events_dropped_total{endpoint="here",reason="full"} 0`} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("there is no metric %s", want)
		}
	}

	here.refuses(true)
	before := here.requests()
	ask("GET", "/v2/team/app/manifests/v1")
	eventually(t, "an endpoint has failed", func() bool { return here.requests() > before })
	p.kill() // -9
	here.refuses(false)
	run("sync", "--bundle", bundle, "--overwrite-tags", "--config", file) // with no server: the next one tells
	p = spawn(t, data, "--config", file)
	here.hears(t, "pull team/app v1", "import team/app v1")
	push(t, p.url, "team/app:v2", img)
	run("rm", "team/app:v1", "--dry-run")
	run("rm", "team/app:v2") // the tag alone
	run("rm", "team/app:v1") // with the image
	here.hears(t, "push team/app v2", "delete team/app v2", "delete team/app v1")
	eventually(t, "the external endpoint receives events after the mirror is online", func() bool { return beyond.requests() > 0 })
	beyond.hears(t, "push team/app blob", "push team/app blob", "push team/app v1", "pull team/app v1", "pull team/app blob",
		"mount team/other blob team/app", "want library/none v1", "delete team/app v1", "import team/app v1",
		"push team/app blob", "push team/app blob", "push team/app v1", "pull team/app v1", "import team/app v1",
		"push team/app v2", "delete team/app v2", "delete team/app v1")
}
