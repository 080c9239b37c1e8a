//go:build e2e

package e2e_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// anything stands in README for any text in a line, and alone on a line for any lines.
const anything = "…"

// example is a command that README shows, and what it says that this prints.
type example struct {
	line    int
	command string
	output  []string
}

// examples reads the console blocks of a Markdown file.
func examples(t *testing.T, path string) (all []example) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	within := false
	for i, line := range strings.Split(string(text), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			within = line == "```console"
		case !within:
		case isCommand:
			all = append(all, example{line: i + 1, command: command})
		case len(all) == 0:
			t.Fatalf("%s:%d: output of no command", path, i+1)
		default:
			last := &all[len(all)-1]
			last.output = append(last.output, line)
		}
	}
	return all
}

// shows says whether lines are what README shows of them.
func shows(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == anything:
		return shows(want[1:], got) || len(got) > 0 && shows(want, got[1:])
	case len(got) == 0:
		return false
	}
	parts := strings.Split(typical(want[0]), anything)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	matched := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(typical(got[0]))
	return matched && shows(want[1:], got[1:])
}

// varying is what README shows of one run and is different in the next: sizes, digests, how long ago and how long.
var varying = []struct {
	*regexp.Regexp
	typical string
}{
	{regexp.MustCompile(`\b[0-9.]+ [KMG]?i?B\b`), "SIZE"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "DIGEST"},
	{regexp.MustCompile(`\b(now|never|[0-9]+ (second|minute)s? ago)\b`), "AGE"},
	{regexp.MustCompile(`\b[0-9.]+m?s$`), "TIME"},
	{regexp.MustCompile(`\bprocess [0-9]+\b`), "process PID"},
	{regexp.MustCompile(` +`), " "},
}

// typical replaces what varies in a line, and how far its columns are apart.
func typical(line string) string {
	for _, v := range varying {
		line = v.ReplaceAllString(line, v.typical)
	}
	return strings.TrimRight(line, " ")
}

// shell is one session, in which what a command leaves behind is there for the next.
type shell struct {
	*exec.Cmd
	in  *os.File
	out *bufio.Scanner
}

const prompt = "-- ready for the next command --"

func startShell(t *testing.T, dir string, env []string) *shell {
	t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{Cmd: exec.Command("bash", "--norc"), in: in, out: bufio.NewScanner(out)}
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

// do runs a command and returns the lines that it printed.
func (s *shell) do(t *testing.T, command string) (lines []string) {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null; printf '\\n%%s\\n' '%s'\n", command, prompt); err != nil {
		t.Fatal(err)
	}
	hangs := time.AfterFunc(patience, func() { _ = s.Process.Kill() })
	defer hangs.Stop()
	for s.out.Scan() {
		if s.out.Text() != prompt {
			lines = append(lines, s.out.Text())
			continue
		}
		if last := len(lines) - 1; lines[last] == "" { // the line before the prompt is the last of the command or none
			lines = lines[:last]
		}
		return lines
	}
	t.Fatalf("the shell did not come back from: %s\n%s", command, strings.Join(lines, "\n"))
	return nil
}

// copyOfTheProject copies the sources, and not what was built or kept beside them.
func copyOfTheProject(t *testing.T) string {
	t.Helper()
	const root = "../../.."
	to := filepath.Join(tempDir(t), "airmirror")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case name == ".git" || name == "bin" || name == "data":
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// realBusybox is an image like Docker Hub's of that name: for several platforms, with a shell.
func realBusybox(t *testing.T, version string) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, ociFormat.index)
	for _, arch := range []string{"amd64", "arm64"} {
		layers := []v1.Layer{fileLayer(t, ociFormat, "version", 0o644, []byte(version+" for "+arch))}
		if arch == runtime.GOARCH {
			layers = append(layers, busyboxLayer(t, ociFormat, "sh", "echo"))
		}
		img := image(t, ociFormat, arch, "/bin/sh", layers...)
		config, err := img.ConfigFile()
		if err == nil {
			config = config.DeepCopy()
			config.Config.Entrypoint, config.Config.Cmd = nil, []string{"sh"}
			img, err = mutate.ConfigFile(img, config)
		}
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: platform{img}, Descriptor: linux(arch)})
	}
	return index
}

// TestREADME: what README shows is what happens. `make run` goes on while the other commands run; all of it is one
// session, in a copy of the project. A registry of our own stands in for Docker Hub.
func TestREADME(t *testing.T) {
	need(t, "root", "bash", "curl", "make", "go")
	const addr = "localhost:5000" // as README has it
	if listener, err := net.Listen("tcp", ":5000"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	} else {
		listener.Close()
	}
	hub := startUpstream(t)
	for _, tag := range []string{"1.35", "1.36"} {
		push(t, realBusybox(t, tag), hub.addr+"/library/busybox:"+tag)
	}
	docker := startDocker(t, addr)

	bin := tempDir(t)
	for name, program := range map[string]string{"mirror": mirrorBin, "docker": dockerClient()} {
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(path, filepath.Join(bin, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := copyOfTheProject(t)
	env := environment(t, "PATH="+bin+":"+os.Getenv("PATH"), "DOCKER_HOST="+docker.host,
		"MIRROR_UPSTREAM=docker.io=http://"+hub.addr, "NO_PROXY=localhost,127.0.0.1", "no_proxy=localhost,127.0.0.1")
	for _, variable := range []string{"GOCACHE", "GOMODCACHE"} { // what is there need not be built and fetched again
		env = append(env, variable+"="+strings.TrimSpace(run(t, os.Environ(), "go", "env", variable)))
	}
	shell := startShell(t, dir, env)

	for _, e := range examples(t, "../../../README.md") {
		var got []string
		if e.command == "make run" {
			served := start(t, env, "make", "-C", dir, "--no-print-directory", "run")
			served.waitReady(t, addr)
			got = strings.Split(strings.TrimSpace(served.output(t)), "\n")
		} else {
			got = shell.do(t, e.command)
		}
		for len(e.output) > 0 && e.output[len(e.output)-1] == "" {
			e.output = e.output[:len(e.output)-1]
		}
		if !shows(e.output, got) {
			t.Errorf("README.md:%d: $ %s\nprints\n\t%s\nand not\n\t%s", e.line, e.command,
				strings.Join(got, "\n\t"), strings.Join(e.output, "\n\t"))
		}
	}
}
