package audit_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/api/admin"
	"airmirror/api/audit"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lines returns the entries in a log.
func lines(t *testing.T, path string) (entries []audit.Entry) {
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

func open(t *testing.T) (l *audit.Log, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.log")
	l, err := audit.Open(path, nil, zap.NewNop())
	must(t, err)
	t.Cleanup(l.Close)
	return l, path
}

// serve returns a registry with a single user called robot.
func serve(t *testing.T, l *audit.Log) http.Handler {
	t.Helper()
	dir := t.TempDir()
	store, err := cache.Open(cache.Config{Folder: dir})
	must(t, err)
	m, err := proxy.New(store, nil, proxy.Options{Offline: true})
	must(t, err)
	t.Cleanup(func() {
		must(t, m.Close(context.Background()))
		must(t, store.Close())
	})
	return middleware.New(registry.New(m, registry.Options{}), middleware.Options{
		User: func(context.Context) string { return "robot" }, Observers: []func(*middleware.Exchange){l.Request},
	}, middleware.Settings{})
}

func TestRequestsThatChangeSomethingAreLogged(t *testing.T) {
	l, path := open(t)
	handler := serve(t, l)
	config := digest.FromString("{}").String()
	man := func(note string) string {
		return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
			config + `","size":2},"layers":[],"annotations":{"note":"` + note + `"}}`
	}
	first, second := digest.FromString(man("1")), digest.FromString(man("2"))
	for _, tt := range []struct {
		method, path, body string
		want               string // action, result and target; "" for no entry
	}{
		{"GET", "/v2/", "", ""},
		{"POST", "/v2/a/blobs/uploads/?digest=" + config, "{}", "push-blob OK docker.io/a " + config},
		{"POST", "/v2/a/blobs/uploads/", "", ""},
		{"POST", "/v2/b/blobs/uploads/?mount=" + config + "&from=a", "", "mount OK docker.io/b " + config + " from a"},
		{"PUT", "/v2/a/manifests/v1", man("1"), "push OK docker.io/a " + first.String() + " v1"},
		{"PUT", "/v2/a/manifests/v1", man("2"), "push OK docker.io/a " + second.String() + " v1 was " + first.String()},
		{"PUT", "/v2/a/manifests/v1", "nonsense", "push MANIFEST_INVALID docker.io/a  v1"},
		{"GET", "/v2/a/manifests/v1", "", ""},
		{"DELETE", "/v2/a/blobs/" + config, "", "delete-blob UNSUPPORTED docker.io/a " + config},
		{"DELETE", "/v2/a/manifests/v1", "", "delete OK docker.io/a  v1"},
		{"DELETE", "/v2/a/manifests/" + second.String(), "", "delete OK docker.io/a " + second.String()},
		{"DELETE", "/v2/a/manifests/none", "", "delete MANIFEST_UNKNOWN docker.io/a  none"},
	} {
		before := len(lines(t, path))
		r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
		r.Header.Set("Authorization", "Basic secret")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		got := ""
		for _, e := range lines(t, path)[before:] {
			got += strings.Join([]string{e.Action, string(e.Result), e.Repo, e.Digest.String()}, " ")
			for _, tag := range e.Tags {
				got += " " + tag
			}
			if was := e.Was["v1"]; was != "" {
				got += " was " + was.String()
			}
			if e.From != "" {
				got += " from " + e.From
			}
			if e.User != "robot" || e.Address != "192.0.2.1" || e.Request == "" || e.Time.IsZero() || (e.Error == "") != (e.Result == "OK") {
				t.Errorf("%s %s: %+v", tt.method, tt.path, e)
			}
		}
		if got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("the log contains a secret: %v", err)
	}
}

func TestCommandsAreLoggedWithoutSecrets(t *testing.T) {
	l, path := open(t)
	access := admin.Access{User: "root", Address: "local", Local: true}
	request := httptest.NewRequestWithContext(admin.WithAccess(t.Context(), access), http.MethodPost, "/", nil)
	for action, text := range map[string]string{
		"migrate":     `{"url":"https://robot:secret@registry.example","from":"registry.example","repos":["team/**"]}`,
		"export-sent": `{"id":"abc","destination":"plant","images":[{"ref":"team/app:1"}]}`, "usage": `{}`, "pin": `["team/app:1"]`, "later": `{"password":"secret"}`,
		"sync": `{"images":["` + strings.Repeat("x", 20<<10) + `"]}`,
	} {
		l.Command(admin.Change{Action: action, Request: json.RawMessage(text), HTTP: request, Err: mirror.Errorf(mirror.CodeDenied, "not now")})
	}
	details := map[string]string{}
	for _, e := range lines(t, path) {
		details[e.Action] = string(e.Detail)
		if e.User != "root" || e.Address != "local" || e.Result != mirror.CodeDenied || e.Error != "not now" {
			t.Errorf("%+v", e)
		}
	}
	want := map[string]string{
		"pin": `["team/app:1"]`, "migrate": `{"from":"registry.example","repos":["team/**"]}`, "export-sent": `{"destination":"plant","id":"abc"}`,
		"later": "", "sync": "",
	}
	if !maps.Equal(details, want) {
		t.Errorf("written: %v, want %v", details, want)
	}
}

// TestReopen checks that the log continues in another file, and in the same file if the other one cannot be opened.
func TestReopen(t *testing.T) {
	l, before := open(t)
	path := before + ".next"
	l.Write(audit.Entry{Action: "one"}, nil)
	if _, err := l.Reopen(filepath.Join(before, "below")); err == nil {
		t.Error("a path below a file was accepted")
	}
	l.Write(audit.Entry{Action: "two"}, nil)
	use, err := l.Reopen(path)
	must(t, err)
	l.Write(audit.Entry{Action: "three"}, nil)
	use()
	l.Write(audit.Entry{Action: "four"}, nil)
	if old, now := lines(t, before), lines(t, path); len(old) != 3 || len(now) != 1 || now[0].Action != "four" {
		t.Errorf("the previous log has %v, the new one %v", old, now)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	var none *audit.Log
	none.Write(audit.Entry{}, nil)
	none.Request(&middleware.Exchange{})
	none.Command(admin.Change{})
}

// TestMovedLogIsReopened checks that a new file is opened after the file was moved, and that a failure is in the log of
// the server.
func TestMovedLogIsReopened(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	folder := filepath.Join(t.TempDir(), "log")
	must(t, os.Mkdir(folder, 0o700))
	path := filepath.Join(folder, "audit.log")
	l, err := audit.Open(path, nil, zap.New(core))
	must(t, err)
	defer l.Close()
	l.Write(audit.Entry{Action: "one"}, nil)
	must(t, os.Rename(path, path+".1"))
	l.Write(audit.Entry{Action: "two"}, nil)
	for file, want := range map[string]string{path + ".1": "one", path: "two"} {
		if got := lines(t, file); len(got) != 1 || got[0].Action != want {
			t.Errorf("%s has %+v, want %s only", file, got, want)
		}
	}
	must(t, os.RemoveAll(folder))
	l.Write(audit.Entry{Action: "three"}, nil)
	if logs.Len() != 1 {
		t.Errorf("logged %v, want one error", logs.All())
	}
	must(t, os.Mkdir(folder, 0o700))
	l.Write(audit.Entry{Action: "four"}, nil)
	if got := lines(t, path); len(got) != 1 || got[0].Action != "four" {
		t.Errorf("the log has %+v, want four", got)
	}
}
