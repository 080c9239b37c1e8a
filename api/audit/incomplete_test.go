//go:build unix

package audit_test

import (
	"encoding/json"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"airmirror/api/audit"
)

// TestIncompleteLineIsEnded: a full disk, simulated by a process limit, cuts off a line; the next entry is on its own
// line.
func TestIncompleteLineIsEnded(t *testing.T) {
	l, path := open(t)
	l.Write(audit.Entry{Action: "one"}, nil)
	size := func() uint64 { info, err := os.Stat(path); must(t, err); return uint64(info.Size()) }
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size() + 10, Max: was.Max}))
	l.Write(audit.Entry{Action: "two"}, nil)
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
	l.Write(audit.Entry{Action: "three"}, nil)
	text, err := os.ReadFile(path)
	must(t, err)
	got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(got) != 3 || len(got[1]) != 10 || !json.Valid([]byte(got[0])) || !json.Valid([]byte(got[2])) {
		t.Errorf("the log is\n%s", text)
	}
}
