package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/api/audit"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
)

// audited are the expected entries in the audit log, by job and stream.
var audited = map[string]string{
	"sync": "with its request", "import": "with its request", "migrate": "a line", "export": "with its request", "export-sent": "a line",
	"backup": "a line", "collect": "with its request", "remove": "with its request", "verify": "with its request", "compact": "with its request", "pin": "with its request", "tag": "with its request",
	"unpin":       "with its request",
	"export-plan": "nothing", "export-history": "nothing", "receipt": "nothing", "usage": "nothing", "pins": "nothing", "list-tags": "nothing", "chart": "with its request",
}

// auditedInstance opens an empty mirror with an audit log, and returns the path of the log.
func auditedInstance(t *testing.T) (i *Instance, client *admin.Client, path string) {
	t.Helper()
	c := config.Loaded{Config: config.Default()}
	c.Data, c.Offline, c.Audit.File = t.TempDir(), true, filepath.Join(t.TempDir(), "audit.log")
	var err error
	c.Config, err = c.Complete(nil)
	must(t, err)
	i, err = Open(t.Context(), c, Options{})
	must(t, err)
	transport := admin.InProcess(admin.Local(i.Admin()))
	t.Cleanup(func() {
		transport.Wait()
		must(t, i.Close(context.Background()))
	})
	return i, admin.NewClient(transport), c.Audit.File
}

func auditLines(t *testing.T, path string) (entries []audit.Entry) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	for line := range strings.Lines(string(text)) {
		var e audit.Entry
		must(t, json.Unmarshal([]byte(line), &e))
		entries = append(entries, e)
	}
	return entries
}

// TestEveryJobIsAudited checks that every job, call and stream is audited, or known to change nothing.
func TestEveryJobIsAudited(t *testing.T) {
	i, client, path := auditedInstance(t)
	ask := map[string]func() error{}
	// No job can decode this request, and the log contains it nevertheless.
	nonsense := []any{[]any{1}}
	for name := range i.service.Jobs() {
		ask[name] = func() error {
			return client.Job(t.Context(), name, nonsense, nil, func(admin.Event) error { return nil })
		}
	}
	for name := range i.service.Calls() {
		ask[name] = func() error {
			return client.Call(t.Context(), name, nonsense, nil, func(admin.Event) error { return nil })
		}
	}
	for name := range i.service.Streams() {
		ask[name] = func() error {
			_, err := client.Stream(t.Context(), name, nonsense, nil, io.Discard)
			return err
		}
	}
	for name, do := range ask {
		before := len(auditLines(t, path))
		err := do()
		got := "nothing"
		for _, e := range auditLines(t, path)[before:] {
			got = "a line"
			if e.Detail != nil {
				got = "with its request"
			}
			if e.Action != name || e.Address != "local" || e.User == "" || e.Result != mirror.CodeOf(err) || e.Error == "" {
				t.Errorf("%s failed with %v: %+v", name, err, e)
			}
		}
		switch want, known := audited[name]; {
		case !known:
			t.Errorf("audited does not list %s: add it there, and to package audit", name)
		case got != want:
			t.Errorf("for %s the audit log has %s, want %s", name, got, want)
		}
	}
	if len(ask) != len(audited) {
		t.Errorf("there are %d jobs, calls and streams, and %d are known", len(ask), len(audited))
	}
}

// TestChangesByCommandsAreAudited checks the commands that are not jobs.
func TestChangesByCommandsAreAudited(t *testing.T) {
	_, client, path := auditedInstance(t)
	want := ""
	for _, do := range []struct {
		line string
		do   func() error
	}{
		{`mode OK {"mode":"offline","was":"offline"}`, func() error { _, err := client.SetMode(t.Context(), mirror.Offline); return err }},
		{`read-only OK {"on":true}`, func() error { _, err := client.SetReadOnly(t.Context(), true); return err }},
		{`forget-wants OK {"match":null}`, func() error { _, err := client.ForgetWants(t.Context()); return err }},
		{`forget-wants MANIFEST_UNKNOWN {"match":["none"]}`, func() error { _, err := client.ForgetWants(t.Context(), "none"); return err }},
		{"", func() error { _, err := client.Wants(t.Context()); return err }},
		{"", func() error { _, err := client.Status(t.Context()); return err }},
	} {
		_ = do.do()
		if do.line != "" {
			want += do.line + "\n"
		}
	}
	got := ""
	for _, e := range auditLines(t, path) {
		got += e.Action + " " + string(e.Result) + " " + string(e.Detail) + "\n"
	}
	if got != want {
		t.Errorf("written\n%s\nwant\n%s", got, want)
	}
}

// TestNoSecretIsAudited checks requests and errors.
func TestNoSecretIsAudited(t *testing.T) {
	i, client, path := auditedInstance(t)
	for _, url := range []string{"https://robot:opensesame@registry.invalid", "https://robot:opensesame@registry.invalid:port", "://robot:opensesame@x"} {
		err := client.Job(t.Context(), "migrate", admin.MigrateRequest{URL: url}, nil, func(admin.Event) error { return nil })
		if err == nil {
			t.Errorf("the migration from %s succeeded", url)
		}
	}
	i.audit.Command(admin.Change{Action: "later", Request: json.RawMessage(`{"password":"opensesame"}`), HTTP: httptest.NewRequest("POST", "/", nil)})
	text, err := os.ReadFile(path)
	must(t, err)
	if strings.Contains(string(text), "opensesame") || strings.Count(string(text), "\n") != 4 {
		t.Errorf("written:\n%s", text)
	}
}
