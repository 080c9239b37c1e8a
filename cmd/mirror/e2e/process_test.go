//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	patience   = 3 * time.Minute  // for a command to end, or a server to be ready
	grace      = 20 * time.Second // for a server to end after SIGTERM
	pollPeriod = 20 * time.Millisecond
)

// process is a server that a test started.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // the file with its output
	done chan struct{} // closed once it ended
}

// start runs a server until the test is over or stops it. If the test fails, the log is shown.
func start(t *testing.T, env []string, argv ...string) *process {
	t.Helper()
	p := &process{name: base(argv), cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	file, err := os.CreateTemp(tempDir(t), p.name+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p.log = file.Name()
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = file, file, env
	// If this test process is killed its cleanups do not run; the kernel then ends what it started.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state says how it ended
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, tail(p.output(t), 4<<10))
		}
	})
	return p
}

// stop asks the process to end, waits until it has, and returns its exit code; -1 if it had to be killed.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(grace):
		t.Errorf("%s did not end within %v of SIGTERM, killing it", p.name, grace)
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ended says whether the process has ended, of itself or not.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) output(t *testing.T) string {
	t.Helper()
	out, err := os.ReadFile(p.log)
	if err != nil {
		t.Error(err)
	}
	return string(out)
}

// waitUntil waits until a server is ready, and fails the test if it ends instead.
func (p *process) waitUntil(t *testing.T, ready func() error) {
	t.Helper()
	eventually(t, p.name+" answers", func() error {
		if p.ended() {
			t.Fatalf("%s ended with exit code %d:\n%s", p.name, p.cmd.ProcessState.ExitCode(), p.output(t))
		}
		return ready()
	})
}

// result is what became of a command.
type result struct {
	stdout, stderr string
	code           int // -1 if it did not end by itself
	took           time.Duration
}

// try runs a command to its end, whatever that is.
func try(t *testing.T, env []string, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // cleanups run commands too
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, env
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes open
	began := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(began)}
}

// run runs a command that must succeed and returns what it printed to stdout.
func run(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	r := try(t, env, argv...)
	if r.code != 0 {
		t.Fatalf("%s\nexit code %d after %v\n%s%s", strings.Join(argv, " "), r.code, r.took, r.stdout, r.stderr)
	}
	return r.stdout
}

// eventually waits until the condition returns no error, and fails the test if that takes too long.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}
