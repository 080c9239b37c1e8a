//go:build e2e

package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell is one session, in which what a command leaves behind is there for the next.
type shell struct {
	*exec.Cmd
	in  *os.File
	out *bufio.Scanner
}

const prompt = "-- ready for the next command --"

func startShell(t *testing.T, dir string, env, prefix []string) *shell {
	t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(prefix[:len(prefix):len(prefix)], "bash", "--norc")
	s := &shell{Cmd: exec.Command(argv[0], argv[1:]...), in: in, out: bufio.NewScanner(out)}
	s.Stdin, s.Stdout, s.Stderr, s.Dir, s.Env = stdin, stdout, stdout, dir, env
	s.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	stdout.Close()
	t.Cleanup(func() {
		in.Close()
		_ = s.Wait() // its last command may have failed
		out.Close()
	})
	return s
}

// do runs a command and returns the lines that it printed, and whether it succeeded.
func (s *shell) do(t *testing.T, command string) (lines []string, ok bool) {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null; printf '\\n%%s %%s\\n' '%s' $?\n", command, prompt); err != nil {
		t.Fatal(err)
	}
	hangs := time.AfterFunc(patience, func() { _ = s.Process.Kill() })
	defer hangs.Stop()
	for s.out.Scan() {
		code, isPrompt := strings.CutPrefix(s.out.Text(), prompt+" ")
		if !isPrompt {
			lines = append(lines, s.out.Text())
			continue
		}
		if last := len(lines) - 1; lines[last] == "" { // the line before the prompt is the last of the command or none
			lines = lines[:last]
		}
		return lines, code == "0"
	}
	t.Fatalf("the shell did not come back from: %s\n%s", command, strings.Join(lines, "\n"))
	return nil, false
}

// session is the machine of a reader who does what a page says: an empty folder, the mirror on the PATH, and folders of
// configuration below /etc that are not this machine's. `mirror serve` runs until the page stops it.
type session struct {
	*shell
	env, prefix []string
	servers     map[string]*process // by data folder
}

// pageHost is the name of the mirror in the pages. Docker wants TLS from it, because its address is not loopback.
const pageHost = "reg.example"

// newSession starts a session. Docker Hub is hub there.
func newSession(t *testing.T, hub string) *session {
	t.Helper()
	etc := tempDir(t)
	writeFile(t, etc, "hosts", "127.0.0.1 localhost\n"+machineAddr(t)+" "+pageHost+"\n")
	run(t, environment(t), "sh", "-c", `
		for name in docker containers containerd; do
			mkdir -p /etc/$name && cp -r /etc/$name "$0"
		done`, etc)
	s := &session{servers: map[string]*process{}, prefix: []string{"unshare", "--mount", "sh", "-c", `
		mount --bind "$0/hosts" /etc/hosts
		for name in docker containers containerd; do
			mount --bind "$0/$name" /etc/$name
		done
		export NO_PROXY=localhost,127.0.0.1,` + pageHost + `
		exec "$@"`, etc}}
	bin := tempDir(t)
	for name, program := range map[string]string{"mirror": mirrorBin, "docker": dockerClient(), "crane": craneBin} {
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(path, filepath.Join(bin, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.env = environment(t, "PATH="+bin+":"+os.Getenv("PATH"), "MIRROR_UPSTREAM=docker.io=http://"+hub,
		"MIRROR_AUTH_LOOPBACK_PUSH=auto", // the default
		"NO_PROXY=localhost,127.0.0.1,"+pageHost, "no_proxy=localhost,127.0.0.1,"+pageHost)
	s.shell = startShell(t, tempDir(t), s.env, s.prefix)
	return s
}

// machineAddr is an address of this machine that is not loopback, if there is one.
func machineAddr(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if network, ok := addr.(*net.IPNet); ok && network.IP.To4() != nil && !network.IP.IsLoopback() {
			return network.IP.String()
		}
	}
	return "127.0.0.1"
}

// do runs a step and returns what it printed.
func (s *session) do(t *testing.T, page string, e step) []string {
	t.Helper()
	switch {
	case e.file != "":
		writeFile(t, s.Dir, e.file, strings.Join(e.output, "\n")+"\n")
		return e.output
	case e.command == ctrlC:
		s.stop(t)
		return nil
	case strings.HasPrefix(e.command, "mirror serve") && !strings.Contains(e.command, "--help"):
		return s.serve(t, e.command)
	}
	lines, ok := s.shell.do(t, e.command)
	if e.hidden && !ok {
		t.Fatalf("%s:%d: %s\nfails:\n%s", page, e.line, e.command, strings.Join(lines, "\n"))
	}
	return lines
}

// serve starts a server in the place of one on the same data folder, and returns what it printed once it is ready.
func (s *session) serve(t *testing.T, command string) []string {
	t.Helper()
	data, words := "data", strings.Fields(command)
	for i, word := range words {
		if word == "--data" {
			data = words[i+1]
		}
	}
	if before := s.servers[data]; before != nil {
		before.stop(t)
	}
	argv := append(s.prefix[:len(s.prefix):len(s.prefix)], "bash", "-c", "cd "+s.Dir+" && exec "+command)
	served := start(t, s.env, argv...)
	s.servers[data] = served
	served.waitUntil(t, func() error {
		if lines, ok := s.shell.do(t, "mirror health --data "+data); !ok {
			return errors.New(strings.Join(lines, "\n"))
		}
		if !strings.Contains(served.output(t), " serves http") {
			return errors.New("it has not said how to use it")
		}
		return nil
	})
	lines := strings.Split(strings.TrimSpace(served.output(t)), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "{") }) // the log, at any place
}

func (s *session) stop(t *testing.T) {
	t.Helper()
	for _, served := range s.servers {
		served.stop(t)
	}
	clear(s.servers)
}
