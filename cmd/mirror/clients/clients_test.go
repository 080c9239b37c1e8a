package clients_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"airmirror/cmd/mirror/clients"
)

var (
	plain  = clients.Mirror{Host: "10.0.0.5:5000", Upstreams: []string{"docker.io", "quay.io"}}
	secure = clients.Mirror{Host: "reg.example", TLS: true, CA: "certs/ca.crt", Upstreams: []string{"docker.io", "quay.io"}}
)

// TestEveryClientUsesTheMirror checks the scheme, an entry for each upstream, and the certificate authority.
func TestEveryClientUsesTheMirror(t *testing.T) {
	for _, kind := range clients.Kinds {
		for _, m := range []clients.Mirror{plain, secure} {
			setup, err := clients.For(kind, m)
			if err != nil {
				t.Fatal(err)
			}
			text, paths, copies := "", []string{}, 0
			for _, file := range setup.Files {
				if file.Secret {
					t.Errorf("%s: %s is marked as secret, but the setup has no password", kind, file.Path)
				}
				if slices.Contains(paths, file.Path) || !strings.HasPrefix(file.Path, "/etc/") || (file.Text == "") == (file.Copy == "") {
					t.Errorf("%s: file %+v", kind, file)
				}
				paths, text = append(paths, file.Path), text+file.Path+file.Text
				if file.Copy == m.CA && m.CA != "" {
					copies++
				}
			}
			if !strings.Contains(text, m.Host) || (m.CA != "") != (copies == 1) {
				t.Errorf("%s: host or authority is missing in %s", kind, text)
			}
			if !strings.Contains(text, "quay.io") {
				t.Errorf("%s: an upstream is missing in %s", kind, text)
			}
			for _, note := range append(setup.Notes, setup.Then) {
				text += note
			}
			if m.TLS && (strings.Contains(text, "insecure") || strings.Contains(text, "http://")) {
				t.Errorf("%s: the setting for plain HTTP is missing: %s", kind, text)
			}
		}
	}
	if _, err := clients.For("rkt", plain); err == nil {
		t.Error("an unknown client was accepted")
	}
}

// TestEveryClientGetsItsCertificate checks that the certificate has the paths that the client reads.
func TestEveryClientGetsItsCertificate(t *testing.T) {
	m := secure
	m.Cert, m.Key = "certs/node.crt", "certs/node.key"
	for _, kind := range clients.Kinds {
		setup, err := clients.For(kind, m)
		if err != nil {
			t.Fatal(err)
		}
		text, copied := "", map[string]string{}
		for _, file := range setup.Files {
			text += file.Text
			copied[file.Copy] = file.Path
		}
		for _, from := range []string{m.Cert, m.Key} {
			path := copied[from]
			looked := kind == "podman" || kind == "crio" // in a folder, for names
			if path == "" || !looked && !strings.Contains(text, path) || looked && !strings.Contains(path, "/certs.d/reg.example/client.") {
				t.Errorf("%s: %s is copied to %q, want the path in\n%s", kind, from, path, text)
			}
		}
	}
}

func TestGeneratedFilesAreValid(t *testing.T) {
	for _, m := range []clients.Mirror{plain, secure} {
		docker, _ := clients.For("docker", m)
		var daemon map[string][]string
		if err := json.Unmarshal([]byte(docker.Files[0].Text), &daemon); err != nil || daemon["registry-mirrors"][0] != m.URL() ||
			(len(daemon["insecure-registries"]) == 0) != m.TLS {
			t.Errorf("daemon.json: %v, %v", daemon, err)
		}
		k3s, _ := clients.For("k3s", m)
		var registries struct {
			Mirrors map[string]struct{ Endpoint []string }
			Configs map[string]any
		}
		if err := yaml.Unmarshal([]byte(k3s.Files[0].Text), &registries); err != nil || registries.Mirrors["quay.io"].Endpoint[0] != m.URL() ||
			(registries.Configs[m.Host] != nil) != (m.CA != "") {
			t.Errorf("registries.yaml: %v, %v", registries, err)
		}
	}
	if local, _ := clients.For("docker", clients.Mirror{Host: "localhost:5000"}); strings.Contains(local.Files[0].Text, "insecure") {
		t.Error("the files for docker list localhost as insecure, which docker assumes")
	}
}

// TestNoFallback checks that clients use only the mirror, or that a note says that they cannot.
func TestNoFallback(t *testing.T) {
	m := secure
	m.NoFallback = true
	const alone = "\nserver = \"https://reg.example\"\ncapabilities = [\"pull\", \"resolve\"]\nca = "
	for kind, want := range map[string][]string{
		"docker":     {alone, "This cannot be disabled in these versions"},
		"containerd": {alone},
		"kubernetes": {alone},
		"podman":     {"prefix = \"quay.io\"\nlocation = \"reg.example/quay.io\"\n"},
		"crio":       {"prefix = \"quay.io\"\nlocation = \"reg.example/quay.io\"\n"},
		"k3s":        {"disable-default-registry-endpoint: true"},
		"buildkit":   {"This cannot be disabled"},
	} {
		for _, fallback := range []bool{false, true} {
			m.NoFallback = !fallback
			text := textOf(t, kind, m)
			for _, want := range want {
				if strings.Contains(text, want) == fallback {
					t.Errorf("%s: %q is there with fallback %t in\n%s", kind, want, fallback, text)
				}
			}
			if m.NoFallback && strings.Contains(text, "registry-1.docker.io") {
				t.Errorf("%s: the client also contacts Docker Hub:\n%s", kind, text)
			}
		}
	}
}

// TestCredentials checks that files with credentials are marked as secret, and that other clients have a note to log in.
func TestCredentials(t *testing.T) {
	m := plain
	m.User, m.Password = "robot", "se\"same"
	const basic = "cm9ib3Q6c2Uic2FtZQ=="
	for kind, want := range map[string]string{
		"docker":     "[host.\"http://10.0.0.5:5000\".header]\n  Authorization = \"Basic " + basic + "\"\n",
		"containerd": "[host.\"http://10.0.0.5:5000\".header]\n  Authorization = \"Basic " + basic + "\"\n",
		"kubernetes": "[host.\"http://10.0.0.5:5000\".header]\n  Authorization = \"Basic " + basic + "\"\n",
		"podman":     "podman login --tls-verify=false --username robot 10.0.0.5:5000",
		"crio":       "\"auth\": \"" + basic + "\"",
		"k3s":        `auth: {username: "robot", password: "se\"same"}`,
		"buildkit":   "docker login --username robot 10.0.0.5:5000",
	} {
		if text := textOf(t, kind, m); !strings.Contains(text, want) {
			t.Errorf("%s: %s is missing in\n%s", kind, want, text)
		}
		setup, _ := clients.For(kind, m)
		for _, file := range setup.Files {
			if holds := strings.Contains(file.Text, basic) || strings.Contains(file.Text, `se\"same`); holds && !file.Secret {
				t.Errorf("%s: %s contains a password and is not marked as secret", kind, file.Path)
			}
		}
	}
	m.NoFallback = true
	if text := textOf(t, "containerd", m); !strings.Contains(text, "\n[header]\n  Authorization = \"Basic ") {
		t.Errorf("without fallback\n%s", text)
	}
	// Docker logs in under the mirror's own name: what it may push there is not decided by who pulls here.
	setup, _ := clients.For("docker", m)
	for _, file := range setup.Files {
		if file.Path == "/etc/docker/certs.d/10.0.0.5:5000/hosts.toml" && strings.Contains(file.Text, basic) {
			t.Errorf("%s has credentials", file.Path)
		}
	}
}

func textOf(t *testing.T, kind string, m clients.Mirror) (text string) {
	t.Helper()
	setup, err := clients.For(kind, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range setup.Files {
		text += file.Path + "\n" + file.Text + "\n"
	}
	return text + setup.Then + "\n" + strings.Join(setup.Notes, "\n")
}
