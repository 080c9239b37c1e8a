//go:build bench

package bench_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a process that is measured. Each has a data folder of its own, on disk.
type server struct {
	addr string
	data string
	cmd  *exec.Cmd
	log  string
	born time.Time // when its process was started

	mu   sync.Mutex
	peak memory
	done chan struct{}
}

// memory is the most that a process held, in bytes. Resident counts mapped files as well: the program itself, and the
// index. Anonymous is what the process allocated, which is what the aim is about; it is sampled.
type memory struct{ resident, anonymous int64 }

func startMirror(b *testing.B, flags ...string) *server {
	b.Helper()
	return startMirrorOn(b, filepath.Join(b.TempDir(), "data"), flags...)
}

// startMirrorOn starts a mirror on a folder that exists. It waits for an answer: the server listens before it opens the
// folder, and a command would open the folder first.
func startMirrorOn(b *testing.B, data string, flags ...string) *server {
	b.Helper()
	s := newServer(b)
	s.data = data
	s.startMirror(b, flags...)
	if !slices.Contains(flags, "--tls-cert-file") {
		s.answered(b)
	}
	return s
}

func (s *server) startMirror(b *testing.B, flags ...string) {
	b.Helper()
	s.start(b, nil, append([]string{mirrorBin, "serve", "--listen", s.addr, "--data", s.data}, flags...)...)
}

// startRegistry starts distribution with what its own example configuration has, and no log of requests. With an
// upstream it is a proxy.
func startRegistry(b *testing.B, upstream string) *server {
	b.Helper()
	s := newServer(b)
	s.startRegistry(b, upstream)
	return s
}

func (s *server) startRegistry(b *testing.B, upstream string) {
	b.Helper()
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, cache: {blobdescriptor: inmemory}}
http: {addr: %q}
`, s.data, s.addr)
	if upstream != "" {
		config += fmt.Sprintf("proxy: {remoteurl: %q}\n", "http://"+upstream)
	}
	path := filepath.Join(b.TempDir(), "config.yml")
	check(b, os.WriteFile(path, []byte(config), 0o600))
	s.start(b, nil, registryBin, "serve", path)
}

func newServer(b *testing.B) *server {
	dir := b.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	defer l.Close()
	return &server{addr: l.Addr().String(), data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log"), done: make(chan struct{})}
}

func (s *server) start(b *testing.B, env []string, argv ...string) {
	b.Helper()
	log, err := os.Create(s.log)
	check(b, err)
	defer log.Close()
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = append(append(os.Environ(), "DOCKER_CONFIG="+os.DevNull), env...)
	// If this process is killed its cleanups do not run; the kernel then ends what it started.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.born = time.Now()
	check(b, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // it is killed
		close(s.done)
	}()
	b.Cleanup(s.stop)
	s.waitReady(b)
	go s.watch()
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// waitReady waits until something listens.
func (s *server) waitReady(b *testing.B) {
	b.Helper()
	for range 100_000 {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-s.done:
			log, _ := os.ReadFile(s.log)
			b.Fatalf("%s ended:\n%s", s.cmd.Path, log)
		case <-time.After(100 * time.Microsecond):
		}
	}
	b.Fatalf("%s does not listen on %s", s.cmd.Path, s.addr)
}

// watch samples memory until the process ends.
func (s *server) watch() {
	for {
		s.sample()
		select {
		case <-s.done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) sample() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.Lines(status) {
		fields := strings.Fields(string(line))
		if len(fields) != 3 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmHWM:":
			s.peak.resident = max(s.peak.resident, n<<10)
		case "RssAnon:":
			s.peak.anonymous = max(s.peak.anonymous, n<<10)
		}
	}
}

func (s *server) memory() memory {
	s.sample()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// cpu is the processor time that the server has used, in steps of 10 ms; nothing without a server.
func (s *server) cpu() time.Duration {
	if s == nil {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
