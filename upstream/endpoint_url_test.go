package upstream_test

import (
	"slices"
	"strings"
	"testing"

	"airmirror/upstream"
)

func TestParseEndpoint(t *testing.T) {
	for s, want := range map[string]string{
		"quay.io":                                  "quay.io https://quay.io",
		"https://registry.example.com":             "registry.example.com https://registry.example.com",
		"https://Registry.Example.com:443/":        "registry.example.com https://registry.example.com",
		"http://registry.example.com:80":           "registry.example.com http://registry.example.com",
		"http://registry.example.com:5000":         "registry.example.com:5000 http://registry.example.com:5000",
		"registry.example.com:5000":                "registry.example.com:5000 https://registry.example.com:5000",
		"localhost":                                "localhost http://localhost",
		"localhost:5000":                           "localhost:5000 http://localhost:5000",
		"127.0.0.2:5000":                           "127.0.0.2:5000 http://127.0.0.2:5000",
		"[::1]:5000":                               "[::1]:5000 http://[::1]:5000",
		"10.0.0.1":                                 "10.0.0.1 https://10.0.0.1",
		"https://localhost:5000":                   "localhost:5000 https://localhost:5000",
		"docker.io":                                "docker.io https://registry-1.docker.io",
		"https://index.docker.io":                  "docker.io https://registry-1.docker.io",
		"docker.io=http://127.0.0.1:5600":          "docker.io http://127.0.0.1:5600",
		"index.docker.io=127.0.0.1:5600":           "docker.io http://127.0.0.1:5600",
		"ghcr.io=harbor.example.com/ghcr":          "ghcr.io https://harbor.example.com/ghcr",
		"ghcr.io=https://harbor.example.com/v2":    "ghcr.io https://harbor.example.com",
		"ghcr.io=https://h.example.com/v2/a/ghcr/": "ghcr.io https://h.example.com/a/ghcr",
		"ghcr.io=http://staging:5000/ghcr.io":      "ghcr.io http://staging:5000/ghcr.io",
	} {
		e, err := upstream.ParseEndpoint(s)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := e.Host + " " + e.URL.String(); got != want {
			t.Errorf("%s is %s, want %s", s, got, want)
		}
	}
}

func TestParseEndpointErrors(t *testing.T) {
	for s, want := range map[string]string{
		"":                            "want [HOST=]URL",
		"docker.io=":                  "want [HOST=]URL",
		"=https://x.example":          "not the name of a registry host",
		"a b=https://x.example":       "not the name of a registry host",
		"ftp://x.example":             "write https:// or http://",
		"https://":                    "not a host",
		"https://x.example:0":         "not a host",
		"https://x.example:99999":     "not a host",
		"https://x.example:port":      "not a URL",
		"https://me:secret@x.example": "docker login x.example",
		"me:secret@x.example":         "docker login x.example",
		"q=https://me:secret@x.test":  "docker login x.test",
		"q=me:secret@x.example":       "docker login x.example",
		"https://me:a=secret@x.test":  "docker login x.test",
		"https://me:%secret@x.test":   "not a URL",
		"https://me:secret/@x.test":   "not a URL",
		"https://x.example?a=b":       "more than a host and a path",
		"https://x.example#a":         "more than a host and a path",
		"https://x.example/Proxy":     "cannot begin the name of a repository",
		"https://x.example/a//b":      "cannot begin the name of a repository",
	} {
		e, err := upstream.ParseEndpoint(s)
		if err == nil {
			t.Errorf("%q is %+v, want an error", s, e)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: error tells the password: %q", s, err)
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error is %q, want %q in it", s, err, want)
		}
	}
}

func TestHosts(t *testing.T) {
	n := newNetwork(t)
	c := n.client(upstream.Options{}, "quay.io", "docker.io", "docker.io=http://127.0.0.1:5600")
	if got := c.Hosts(); !slices.Equal(got, []string{"quay.io", "docker.io"}) {
		t.Errorf("hosts are %v", got)
	}
	if e, err := upstream.ParseEndpoint("docker.io"); err != nil || e.Host != "docker.io" || e.URL.String() != "https://registry-1.docker.io" {
		t.Errorf("Docker Hub is %+v", e)
	}
}
