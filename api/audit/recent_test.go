package audit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/api/admin"
	"airmirror/api/audit"
	"airmirror/mirror"
)

// openRecent opens the latest changes in a file, and a log that has them kept.
func openRecent(t *testing.T, path string) (*audit.Recent, *audit.Log) {
	t.Helper()
	recent := audit.OpenRecent(path, zap.NewNop())
	l, err := audit.Open("", recent, zap.NewNop())
	must(t, err)
	t.Cleanup(func() { must(t, recent.Close()) })
	return recent, l
}

// actions returns the actions of changes with their tags, the oldest first.
func actions(changes []admin.LoggedChange) string {
	text := ""
	for _, c := range changes {
		text = strings.Join(append([]string{c.Action}, c.Tags...), " ") + "\n" + text
	}
	return text
}

// TestChangesAreKept checks which entries are kept. The process is not ended in an orderly way before the file is read again.
func TestChangesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changes.log")
	recent, l := openRecent(t, path)
	command := func(action, request string, err error) {
		access := admin.Access{User: "alice", Address: "192.0.2.7", Request: "abc"}
		r := httptest.NewRequestWithContext(admin.WithAccess(t.Context(), access), http.MethodPost, "/", nil)
		l.Command(admin.Change{Action: action, Request: json.RawMessage(request), HTTP: r, Err: err})
	}
	denied := mirror.Errorf(mirror.CodeDenied, "you may not")
	l.Write(audit.Entry{Action: "push-blob", Repo: "docker.io/a"}, nil)
	l.Write(audit.Entry{Action: "push", Repo: "docker.io/a", Tags: []string{"v1"}}, nil)
	l.Write(audit.Entry{Action: "push", Repo: "docker.io/a", Tags: []string{"v2"}}, denied)
	l.Write(audit.Entry{Action: "delete", Repo: "docker.io/a", Tags: []string{"none"}}, mirror.Errorf(mirror.CodeManifestUnknown, "not stored"))
	command("mode", `{"mode":"offline"}`, nil)
	command("collect", `{"dryRun":true}`, nil)
	command("remove", `{"names":["b"]}`, denied)
	command("usage", `{}`, nil)
	command("import", `{}`, mirror.Errorf(mirror.CodeDigestInvalid, "the bundle is damaged"))
	recent.Collected(map[string]any{"cause": "schedule"}, nil)
	want := "push v1\nmode\nimport\ncollect\n"
	if got := actions(recent.Changes()); got != want {
		t.Errorf("kept:\n%swant:\n%s", got, want)
	}
	again, _ := openRecent(t, path)
	changes := again.Changes()
	if got := actions(changes); got != want {
		t.Errorf("kept over a restart:\n%swant:\n%s", got, want)
	}
	if c := changes[1]; c.User != "alice" || c.Address != "192.0.2.7" || c.Request != "abc" || c.Error != "the bundle is damaged" || c.Time.IsZero() || c.Number != 3 {
		t.Errorf("the import is kept as %+v", c)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestOnlyTheLatestChangesAreKept checks the bounds, and the numbers across restarts.
func TestOnlyTheLatestChangesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changes.log")
	n := 0
	for range 3 {
		recent, l := openRecent(t, path)
		for range 700 {
			n++
			l.Write(audit.Entry{Action: "push", Repo: "docker.io/a", Tags: []string{fmt.Sprint(n)}}, nil)
		}
		changes := recent.Changes()
		if len(changes) != admin.MaxChanges || changes[0].Tags[0] != fmt.Sprint(n) || changes[0].Number != int64(n) || changes[499].Number != int64(n)-499 {
			t.Errorf("after %d changes %d are kept, from %+v on", n, len(changes), changes[0])
		}
		if text, err := os.ReadFile(path); err != nil || strings.Count(string(text), "\n") > 2*admin.MaxChanges {
			t.Errorf("the file has %d lines, %v", strings.Count(string(text), "\n"), err)
		}
	}
	recent, l := openRecent(t, path)
	l.Write(audit.Entry{Action: "push", Repo: "docker.io/a", Tags: make([]string, 5000)}, nil)
	if last := recent.Changes()[0]; len(last.Tags) != 8 {
		t.Errorf("a long entry is kept with %d tags", len(last.Tags))
	}
}

// TestDamagedChangesAreLeftOut checks a file with what a crash may leave.
func TestDamagedChangesAreLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "changes.log")
	_, l := openRecent(t, path)
	l.Write(audit.Entry{Action: "mode"}, nil)
	l.Write(audit.Entry{Action: "pin"}, nil)
	text, err := os.ReadFile(path)
	must(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	for _, damaged := range []string{lines[0] + "\x00\x00\x00\n" + lines[1], string(text) + lines[1][:20], string(text) + "\x00\x00"} {
		must(t, os.WriteFile(path, []byte(damaged), 0o600))
		recent, l := openRecent(t, path)
		l.Write(audit.Entry{Action: "unpin"}, nil)
		again, _ := openRecent(t, path)
		for _, r := range []*audit.Recent{recent, again} {
			if got := actions(r.Changes()); got != "mode\npin\nunpin\n" {
				t.Errorf("%q: kept\n%s", damaged, got)
			}
		}
	}
}

// TestChangesWithoutAFile checks that a file that cannot be used is logged, and the mirror works.
func TestChangesWithoutAFile(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	recent := audit.OpenRecent(filepath.Join(t.TempDir(), "missing", "changes.log"), zap.New(core))
	l, err := audit.Open("", recent, zap.NewNop())
	must(t, err)
	l.Write(audit.Entry{Action: "mode"}, nil)
	if got := actions(recent.Changes()); got != "mode\n" || logs.Len() != 1 {
		t.Errorf("kept %q, logged %v", got, logs.All())
	}
	must(t, recent.Close())
}
