package clients_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"airmirror/cmd/mirror/clients"
	"airmirror/mirror"
)

var (
	plain  = clients.Mirror{Host: "10.0.0.5:5000", Upstreams: []string{"docker.io", "quay.io"}}
	secure = clients.Mirror{Host: "reg.example", TLS: true, CA: "certs/ca.crt", Upstreams: []string{"docker.io", "quay.io"}}
)

// TestEveryClientIsToldOfTheMirror: by its scheme, for each upstream it has a file or an entry for, and of the authority.
func TestEveryClientIsToldOfTheMirror(t *testing.T) {
	for _, kind := range clients.Kinds {
		for _, m := range []clients.Mirror{plain, secure} {
			setup, err := clients.For(kind, m)
			if err != nil {
				t.Fatal(err)
			}
			text, paths, copies := "", []string{}, 0
			for _, file := range setup.Files {
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
			if kind != "docker" && !strings.Contains(text, "quay.io") {
				t.Errorf("%s: an upstream is missing in %s", kind, text)
			}
			for _, note := range append(setup.Notes, setup.Then) {
				text += note
			}
			if m.TLS && (strings.Contains(text, "insecure") || strings.Contains(text, "http://")) {
				t.Errorf("%s: is to do without TLS: %s", kind, text)
			}
		}
	}
	if _, err := clients.For("rkt", plain); err == nil {
		t.Error("an unknown client is no error")
	}
}

// TestEveryClientIsGivenItsCertificate: the files that its configuration names, or where it looks for them.
func TestEveryClientIsGivenItsCertificate(t *testing.T) {
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
			looked := kind == "docker" || kind == "podman" || kind == "crio" // in a folder, for names
			if path == "" || !looked && !strings.Contains(text, path) || looked && !strings.Contains(path, "/certs.d/reg.example/client.") {
				t.Errorf("%s: %s goes to %q, and is named in\n%s", kind, from, path, text)
			}
		}
	}
}

func TestWhatIsWrittenCanBeRead(t *testing.T) {
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
		t.Error("docker is told that localhost is insecure, which it knows")
	}
}

// TestAMirrorIsAskedAsEachClientAsks: with the namespace as containerd sends it, by the prefix as podman does, bare as docker.
func TestAMirrorIsAskedAsEachClientAsks(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		if strings.Contains(r.URL.Path, "missing") {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	m := clients.Mirror{Host: strings.TrimPrefix(server.URL, "http://"), Upstreams: []string{"docker.io"}}
	ref := func(name string) mirror.Ref {
		r, err := mirror.ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for kind, want := range map[string]string{
		"docker":     "HEAD /v2/library/app/manifests/1",
		"containerd": "HEAD /v2/library/app/manifests/1?ns=docker.io",
		"podman":     "HEAD /v2/docker.io/library/app/manifests/1",
	} {
		asked = nil
		if err := clients.Check(t.Context(), kind, m, ref("docker.io/library/app:1"), func(string) {}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if len(asked) != 2 || asked[0] != "GET /v2/" || asked[1] != want {
			t.Errorf("%s asked %q", kind, asked)
		}
	}
	if err := clients.Check(t.Context(), "docker", m, ref("docker.io/missing/app:1"), func(string) {}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("what is missing: %v", err)
	}
	m.Host = "127.0.0.1:1"
	if err := clients.Check(t.Context(), "docker", m, mirror.Ref{}, func(string) {}); err == nil || !strings.Contains(err.Error(), "no registry") {
		t.Errorf("with nobody there: %v", err)
	}
}
