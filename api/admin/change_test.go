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

func TestChangesAreToldOf(t *testing.T) {
	var mu sync.Mutex
	var told []string
	opts := work(func(context.Context, json.RawMessage, io.Reader, admin.Report) error {
		return errors.New("it did not work")
	})
	opts.OnChange = func(c admin.Change) {
		mu.Lock()
		defer mu.Unlock()
		if admin.PeerUser(c.HTTP.Context()) == "" {
			t.Error("nobody knows who that was")
		}
		line := c.Action + " " + string(c.Request)
		if c.Err != nil {
			line += " " + c.Err.Error()
		}
		told = append(told, line)
	}
	opts.Reload = func(context.Context) (admin.Reloaded, error) {
		return admin.Reloaded{Changed: []string{"logLevel"}}, nil
	}
	onEach(t, opts, func(t *testing.T, h house) {
		told = nil
		_, err := h.SetMode(t.Context(), mirror.Auto)
		must(t, err)
		_, err = h.SetReadOnly(t.Context(), true)
		must(t, err)
		_, err = h.ForgetWants(t.Context())
		must(t, err)
		_, err = h.Reload(t.Context())
		must(t, err)
		_ = h.Job(t.Context(), "work", []string{"x"}, nil, ignore)
		_, err = h.Status(t.Context())
		must(t, err)
		mode, err := h.Mode(t.Context())
		must(t, err)
		if !mode.ReadOnly || !h.mirror.ReadOnly() {
			t.Error("it is not read-only")
		}
		want := []string{
			`mode {"mode":"auto","was":"offline"}`, `read-only {"on":true}`, `forget-wants {"match":null}`, `reload {"changed":["logLevel"],"restart":null}`,
			`work ["x"] it did not work`,
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestProfilesAreAServers: a command has none of its own.
func TestProfilesAreAServers(t *testing.T) {
	for server, want := range map[*admin.Server]int{nil: http.StatusMethodNotAllowed, {}: http.StatusOK} {
		m, _ := open(t)
		transport := overSocket(t, admin.New(m, admin.Options{Server: server}))
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
