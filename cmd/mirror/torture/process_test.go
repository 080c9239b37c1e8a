//go:build torture

package torture_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"airmirror/cmd/mirror/testport"
)

// server is a mirror in a process of its own.
type server struct {
	cmd  *exec.Cmd
	data string
	url  string
	log  bytes.Buffer
	done chan struct{} // closed when the process has ended
}

// launch starts a server and does not wait.
func launch(t *testing.T, data string, flags ...string) *server {
	t.Helper()
	addr := testport.Address(t)
	s := &server{data: data, url: "http://" + addr, done: make(chan struct{})}
	s.cmd = exec.Command(mirrorBin, append([]string{"serve", "--listen", addr, "--data", data, "--known-upstreams=false"}, flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	// This process listens, as proxies do, and pushes.
	s.cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+os.DevNull, "MIRROR_AUTH_LOOPBACK_PUSH=true")
	must(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // the state says how it ended
		close(s.done)
	}()
	t.Cleanup(s.kill)
	return s
}

// ready waits until the server is ready. It fails if the server ends before.
func (s *server) ready() error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		if response, err := http.Get(s.url + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.done:
			return fmt.Errorf("the server does not start: %s", tail(s.log.String()))
		case <-deadline:
			return fmt.Errorf("the server is not ready after a minute")
		case <-tick.C:
		}
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// stop ends the server by SIGTERM.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.done
	if !s.cmd.ProcessState.Success() {
		return fmt.Errorf("SIGTERM: %s: %s", s.cmd.ProcessState, tail(s.log.String()))
	}
	return nil
}

// commandError is a command that failed, with its output.
type commandError struct {
	name string
	err  error
	out  []byte
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.name, e.err, tail(string(e.out)))
}
func (e *commandError) Unwrap() error { return e.err }

// command runs mirror with the arguments on a data folder; stdin may be empty.
func command(ctx context.Context, data, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, mirrorBin, args...)
	cmd.Env = append(os.Environ(), "MIRROR_DATA="+data, "DOCKER_CONFIG="+os.DevNull)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), &commandError{"mirror " + strings.Join(args, " "), err, out}
	}
	return string(out), nil
}

// panicked reports whether a command ended by a bug of its own.
func panicked(err error) bool {
	var failed *commandError
	return errors.As(err, &failed) && bytes.Contains(failed.out, []byte("goroutine "))
}

// run runs a program that must succeed.
func run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatal(&commandError{argv[0], err, out})
	}
}

// tail returns the last lines of a log.
func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}
