//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// withAccessLog returns the path of settings with an access log.
func withAccessLog(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mirror.yaml")
	must(t, os.WriteFile(path, []byte("accessLog: true\n"), 0o600))
	return path
}

// chatter sends requests until the log of a mirror lacks lines, and returns how many it lacks.
func chatter(t *testing.T, url string) (dropped string) {
	t.Helper()
	agent := strings.Repeat("a", 16<<10) // the access log contains it
	count := regexp.MustCompile(`(?m)^mirror_log_lines_dropped_total (\d+)$`)
	for range 2000 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v2/", nil)
		must(t, err)
		req.Header.Set("User-Agent", agent)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("a request got %s", resp.Status)
		}
		resp, err = http.Get(url + "/metrics")
		must(t, err)
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if match := count.FindSubmatch(text); match == nil {
			t.Fatalf("there is no metric of dropped lines: %s", text)
		} else if string(match[1]) != "0" {
			return string(match[1])
		}
	}
	t.Fatal("no line was dropped")
	return ""
}

// TestLogThatNobodyReads checks that a server whose standard error is a full pipe answers, says later how many lines were
// dropped, and ends on SIGTERM.
func TestLogThatNobodyReads(t *testing.T) {
	for _, read := range []bool{true, false} {
		t.Run(fmt.Sprintf("read later %t", read), func(t *testing.T) {
			reader, writer, err := os.Pipe()
			must(t, err)
			defer reader.Close()
			p := spawnTo(t, writer, t.TempDir(), "--offline", "--config", withAccessLog(t), "--log-level", "info")
			writer.Close()
			dropped := chatter(t, p.url)
			if read {
				text := make(chan string)
				go func() {
					all, _ := io.ReadAll(reader)
					text <- string(all)
				}()
				must(t, p.Process.Signal(syscall.SIGTERM))
				must(t, p.Wait())
				log := <-text
				if !regexp.MustCompile(`"msg":"log lines were dropped: [^"]*","lines":\d+`).MatchString(log) || !strings.Contains(log, `"msg":"stopped"`) {
					t.Errorf("%s lines were dropped, and the log ends with %s", dropped, log[max(0, len(log)-1000):])
				}
				return
			}
			must(t, p.Process.Signal(syscall.SIGTERM))
			must(t, p.Wait())
		})
	}
}

// TestClosedLogEndsNothing checks that a server goes on when the reader of its output has ended.
func TestClosedLogEndsNothing(t *testing.T) {
	reader, writer, err := os.Pipe()
	must(t, err)
	p := spawnTo(t, writer, t.TempDir(), "--offline", "--config", withAccessLog(t), "--log-level", "info")
	writer.Close()
	must(t, reader.Close())
	chatter(t, p.url)
	must(t, p.Process.Signal(syscall.SIGTERM))
	must(t, p.Wait())
}

// TestFailedStartEndsWithAFullPipe checks that an error that nobody reads does not keep a process from ending.
func TestFailedStartEndsWithAFullPipe(t *testing.T) {
	reader, writer, err := os.Pipe()
	must(t, err)
	defer reader.Close()
	defer writer.Close()
	raw, err := writer.SyscallConn()
	must(t, err)
	full := make([]byte, 1<<20)
	must(t, raw.Write(func(fd uintptr) bool { // not blocking, so it ends when the pipe is full
		for {
			if _, err := syscall.Write(int(fd), full); err != nil {
				return true
			}
		}
	}))
	cmd := exec.Command("mirror", "serve", "--no-such-flag")
	cmd.Stderr = writer
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
}
