package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestMistakes runs the commands in testdata/mistakes.txt, and compares what they print to standard error, and their exit
// codes. With -update it writes the file.
func TestMistakes(t *testing.T) {
	golden, err := filepath.Abs(filepath.Join("testdata", "mistakes.txt"))
	must(t, err)
	script, err := os.ReadFile(golden)
	must(t, err)
	place := newMistakes(t)
	var transcript bytes.Buffer
	commands := 0
	for block := range strings.SplitSeq(strings.TrimSpace(string(script)), "\n\n") {
		if transcript.Len() > 0 {
			transcript.WriteByte('\n')
		}
		for line := range strings.SplitSeq(block, "\n") {
			if strings.HasPrefix(line, "#") {
				fmt.Fprintln(&transcript, line)
			}
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands++
				fmt.Fprintf(&transcript, "%s\n%s", line, place.run(t, command))
			}
		}
	}
	if commands < 60 {
		t.Errorf("%d mistakes are tested, want 60", commands)
	}
	compareGolden(t, golden, transcript.Bytes())
}

// mistakes is a folder with servers that answer, as the commands of TestMistakes find it.
type mistakes struct {
	dir   string
	names []string // pairs of an address and of the variable that stands for it
}

func newMistakes(t *testing.T) *mistakes {
	m := &mistakes{dir: t.TempDir()}
	t.Chdir(m.dir)
	for file, text := range map[string]string{
		"password": "sesame\n", "wrong": "guess\n", "text.txt": strings.Repeat("no archive\n", 200), "there.tar": "", "vol.tar.001": "",
		"typos.yaml":  "listne: :5000\ntagTTL: soon\nupstreams:\n  - host: ghcr.io\n    url: https://ghcr.io\n",
		"allow.yaml":  "upstreams: [{host: docker.io, allow: [docker.io/library/*]}, {host: ghcr.io, allow: [quay.io/org/*]}]\n",
		"values.yaml": "listen: 5000\nmode: loud\nlogLevel: chatty\n",
		"files.yaml": "upstreams:\n  - host: docker.io\n    endpoints:\n      - url: https://hub.corp\n        credentials: {username: robot, passwordFile: secret/hub}\n" +
			"auth:\n  htpasswdFile: secret/users\n  initialUser: {name: admin, passwordFile: secret/admin}\n",
		"registry.yml": "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\n",
	} {
		must(t, os.WriteFile(file, []byte(text), 0o600))
	}
	for _, command := range []string{
		"mkdir secured", "mirror user add robot --data secured --password-stdin < password", "mirror cert --host localhost,127.0.0.1",
		"mirror key generate --no-password",
	} {
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	running := m.serve(t, "RUNNING", "running", "--offline")
	m.serve(t, "SECURED", "secured", "--offline", "--config", m.file(t, "secured.yaml", "auth: {anonymousPull: false, loopbackPush: \"false\"}\n"))
	m.serveTLS(t)
	ref, err := name.ParseReference(running+"/team/app:1", name.Insecure)
	must(t, err)
	image, err := random.Image(1000, 1)
	must(t, err)
	must(t, remote.Write(ref, image))
	m.file(t, "login.yaml", "upstreams:\n  - host: docker.io\n    endpoints:\n      - url: http://"+os.Getenv("SECURED")+"\n        credentials: {username: robot, passwordFile: wrong}\n")
	return m
}

// file writes a file and returns its name.
func (m *mistakes) file(t *testing.T, name, text string) string {
	must(t, os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600))
	return name
}

// serve runs a server, and sets a variable to its address.
func (m *mistakes) serve(t *testing.T, variable, data string, args ...string) (address string) {
	address = strings.TrimPrefix(spawn(t, data, args...).url, "http://")
	m.know(t, variable, address)
	return address
}

// serveTLS runs a server with a certificate.
func (m *mistakes) serveTLS(t *testing.T) {
	p := spawn(t, "tls", "--offline", "--tls-cert-file", "certs/server.crt", "--tls-key-file", "certs/server.key")
	m.know(t, "TLS", strings.TrimPrefix(p.url, "http://"))
}

func (m *mistakes) know(t *testing.T, variable, address string) {
	t.Setenv(variable, address)
	m.names = append(m.names, address, "$"+variable)
}

// run runs a command in a shell, and returns its standard error and its exit code.
func (m *mistakes) run(t *testing.T, command string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir, cmd.Stderr = m.dir, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", command, err)
	}
	text := strings.NewReplacer(append(slices.Clone(m.names), m.dir+"/", "")...).Replace(stderr.String())
	return fmt.Sprintf("%s[exit %d]\n", text, cmd.ProcessState.ExitCode())
}
