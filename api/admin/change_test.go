package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func TestOnChangeIsCalledForChanges(t *testing.T) {
	var mu sync.Mutex
	var changes []string
	opts := withJob(func(context.Context, json.RawMessage, io.Reader, admin.Report) error {
		return errors.New("the job failed")
	})
	opts.OnChange = func(c admin.Change) {
		mu.Lock()
		defer mu.Unlock()
		if admin.PeerUser(c.HTTP.Context()) == "" {
			t.Error("the request has no user")
		}
		line := c.Action + " " + string(c.Request)
		if c.Err != nil {
			line += " " + c.Err.Error()
		}
		changes = append(changes, line)
	}
	opts.Reload = func(context.Context) (admin.Reloaded, error) {
		return admin.Reloaded{Changed: []string{"logLevel"}}, nil
	}
	eachTransport(t, opts, func(t *testing.T, m testMirror) {
		changes = nil
		_, err := m.SetMode(t.Context(), mirror.Auto)
		must(t, err)
		_, err = m.SetReadOnly(t.Context(), true)
		must(t, err)
		_, err = m.ForgetWants(t.Context())
		must(t, err)
		_, err = m.Reload(t.Context())
		must(t, err)
		_ = m.Job(t.Context(), "work", []string{"x"}, nil, ignore)
		_, err = m.Status(t.Context())
		must(t, err)
		mode, err := m.Mode(t.Context())
		must(t, err)
		if !mode.ReadOnly || !m.mirror.ReadOnly() {
			t.Error("the mirror is not read-only")
		}
		want := []string{
			`mode {"mode":"auto","was":"offline"}`, `read-only {"on":true}`, `forget-wants {"match":null}`, `reload {"changed":["logLevel"],"restart":null}`,
			`work ["x"] the job failed`,
		}
		if !slices.Equal(changes, want) {
			t.Errorf("called with %q, want %q", changes, want)
		}
	})
}

func TestOnlyAServerHasProfiles(t *testing.T) {
	for server, want := range map[*admin.Server]int{nil: http.StatusMethodNotAllowed, {}: http.StatusOK} {
		m, _ := open(t)
		transport := bySocket(t, admin.Local(admin.New(m, admin.Options{Server: server})))
		for _, page := range []string{"", "heap", "goroutine", "cmdline"} {
			resp, err := (&http.Client{Transport: transport}).Get("http://mirror/debug/pprof/" + page)
			must(t, err)
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: %s, want %d", page, resp.Status, want)
			}
		}
	}
}
