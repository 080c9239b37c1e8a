//go:build unix

package audit_test

import (
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"

	"airmirror/api/audit"
)

// fillDisk limits the size of files of this process, as a full disk does, until the returned function is called. The limit
// holds for the files of the test binary too, so it must be far above their size.
func fillDisk(t *testing.T, size uint64) (empty func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() { signal.Reset(syscall.SIGXFSZ) })
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: was.Max}))
	return func() { must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was)) }
}

// TestFullDiskLeavesWholeLines checks that a line that a full disk cuts off is removed, counted, and mentioned later.
func TestFullDiskLeavesWholeLines(t *testing.T) {
	l, path := open(t)
	l.Write(audit.Entry{Action: "one", User: strings.Repeat("u", 4<<20)}, nil)
	size := func() uint64 { info, err := os.Stat(path); must(t, err); return uint64(info.Size()) }
	before := size()
	empty := fillDisk(t, before+10)
	for range 3 {
		l.Write(audit.Entry{Action: "two"}, nil)
		if now := size(); now != before {
			t.Fatalf("the log has %d bytes, of which %d are a torn line", now, now-before)
		}
	}
	empty()
	if n := l.Failures(); n != 3 {
		t.Errorf("%d failures, want 3", n)
	}
	l.Write(audit.Entry{Action: "three"}, nil)
	l.Write(audit.Entry{Action: "four"}, nil)
	entries := lines(t, path)
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Action)
	}
	if want := []string{"one", "entries-missing", "three", "four"}; !slices.Equal(actions, want) {
		t.Fatalf("the log has %q, want %q", actions, want)
	}
	if missing := entries[1]; missing.Result == "OK" || !strings.Contains(missing.Error, "3 entries") {
		t.Errorf("the log says %+v", missing)
	}
}

// TestIncompleteLastLineIsRepaired checks what a crash can leave at the end of a log, and that other text stays.
func TestIncompleteLastLineIsRepaired(t *testing.T) {
	whole := `{"time":"2026-01-02T03:04:05Z","action":"one","result":"OK"}` + "\n"
	for name, tt := range map[string]struct{ before, after string }{
		"whole":        {whole, whole},
		"torn":         {whole + `{"time":"2026-01-02T03`, whole},
		"only torn":    {`{"time":"2026-`, ""},
		"other text":   {whole + "a note", whole + "a note\n"},
		"nothing":      {"", ""},
		"only a start": {whole + `{"ti`, whole + `{"ti` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			must(t, os.WriteFile(path, []byte(tt.before), 0o600))
			l, err := audit.Open(path, nil, zap.NewNop())
			must(t, err)
			l.Write(audit.Entry{Action: "next"}, nil)
			l.Close()
			text, err := os.ReadFile(path)
			must(t, err)
			next, ok := strings.CutPrefix(string(text), tt.after)
			if !ok || !json.Valid([]byte(next)) || strings.Count(next, "\n") != 1 {
				t.Errorf("the log is\n%s", text)
			}
		})
	}
}
