//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// The tests that begin with TestToday drive clients of today, which .ci/tools/modules pins, with exactly what `mirror client`
// prints for them.

// today returns the folder of clients of today, with a slash, if it has these. Those that take long to build are only there
// for `make e2e-clients`, which sets CLIENTS.
func today(t *testing.T, long bool, programs ...string) string {
	t.Helper()
	need(t, "root")
	dir := os.Getenv("CLIENTS_BIN")
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(dir, program)); err == nil && dir != "" {
			continue
		}
		if os.Getenv("CLIENTS") == "all" || os.Getenv("CI") == "true" && !long {
			t.Fatalf("%s is not in CLIENTS_BIN=%s", program, dir)
		}
		t.Skipf("needs %s of today: see 'make e2e-clients'", program)
	}
	return dir + "/"
}

// site is a mirror with a user, by TLS or not.
type site struct {
	*server
	ca string // "" without TLS
}

// startSite starts a mirror that robot may push to.
func startSite(t *testing.T, tls bool, flags ...string) site {
	t.Helper()
	s := site{server: &server{addr: testport.Address(t), data: filepath.Join(tempDir(t), "data")}}
	if tls {
		c := newCertificates(t, "127.0.0.1")
		s.ca, flags = c.ca(), append(flags, c.flags()...)
	}
	s.process = start(t, environment(t), serve(s.addr, s.data, flags...)...)
	s.waitUntil(t, func() error {
		connection, err := net.Dial("tcp", s.addr)
		if err == nil {
			connection.Close()
		}
		return err
	})
	need(t, "curl")
	run(t, environment(t), "sh", "-c", fmt.Sprintf("echo '%s' | %s user add %s --password-stdin --data %s", secret, mirrorBin, robot, s.data))
	ping := []string{"curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "http://" + s.addr + "/v2/"}
	if tls {
		ping = append(ping[:len(ping)-1], "--cacert", s.ca, "https://"+s.addr+"/v2/")
	}
	eventually(t, "the mirror wants a login", func() error {
		if status := run(t, environment(t, "no_proxy=127.0.0.1"), ping...); status != "401" {
			return fmt.Errorf("GET /v2/: %s", status)
		}
		return nil
	})
	return s
}

// client has `mirror client` print what a kind of client needs, and puts the files below a folder, where they name each other.
// With rewrite false they name each other as they are, for folders of /etc to be mounted from there.
func (s site) client(t *testing.T, kind, to string, rewrite bool, args ...string) {
	t.Helper()
	argv := append([]string{mirrorBin, "client", kind, "--data", s.data, "--host", s.addr, "--json"}, args...)
	if s.ca != "" {
		argv = append(argv, "--ca", s.ca)
	}
	var setup struct {
		Files []struct{ Path, Text, Copy string }
	}
	if err := json.Unmarshal([]byte(run(t, environment(t), argv...)), &setup); err != nil {
		t.Fatal(err)
	}
	for _, file := range setup.Files {
		text := file.Text
		if file.Copy != "" {
			text = readFile(t, file.Copy)
		}
		if rewrite {
			text = strings.ReplaceAll(text, `"/etc/`, `"`+to+`/etc/`)
		}
		writeFile(t, to, strings.TrimPrefix(file.Path, "/"), text)
	}
}

// tries runs a command of the mirror that may fail.
func (s site) tries(t *testing.T, command string, args ...string) error {
	t.Helper()
	r := try(t, environment(t), append([]string{mirrorBin, command, "--data", s.data}, args...)...)
	if r.code != 0 {
		return fmt.Errorf("mirror %s ends with %d: %s", command, r.code, r.stderr)
	}
	return nil
}

// loggedIn is an environment of clients that are logged in to the mirror by docker's configuration.
func (s site) loggedIn(t *testing.T) []string {
	t.Helper()
	auth, err := json.Marshal(map[string]any{"auths": map[string]any{s.addr: map[string]string{"username": robot, "password": secret, "auth": base64.StdEncoding.EncodeToString([]byte(robot + ":" + secret))}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	writeFile(t, dir, "config.json", string(auth))
	return environment(t, "DOCKER_CONFIG="+dir)
}

// byScheme runs a test by HTTP and by HTTPS.
func byScheme(t *testing.T, test func(t *testing.T, tls bool)) {
	for name, tls := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) { test(t, tls) })
	}
}
