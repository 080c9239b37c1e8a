package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"airmirror/mirror"
)

// example is a configuration with all settings of upstreams.
const example = `
upstreams:
  - host: docker.io
    aliases: [hub.corp]
    endpoints:
      - url: https://cache.corp/hub
        credentials: {username: robot, passwordFile: /run/secrets/hub}
        tls: {caFile: /etc/ssl/corp.pem}
      - url: https://registry-1.docker.io
    tagTTL: 10m
    tagTTLs:
      - {match: "docker.io/library/*:*.*.*", ttl: forever}
    requestsPerSecond: 5
    parallel: 4
    referrers: true
  - host: ghcr.io
    allow: ["org/**"]
    deny: ["org/secret"]
    backfill: false
local: ["docker.io/team/**"]
mirrored: ["docker.io/team/public"]
`

func TestConfigFile(t *testing.T) {
	c := load(t, example)
	for ref, want := range map[string]time.Duration{
		"docker.io/library/app:latest":  10 * time.Minute,
		"docker.io/library/app:1.2.3":   mirror.Forever,
		"docker.io/org/app:1.2.3":       10 * time.Minute,
		"ghcr.io/org/app:v1":            time.Minute,
		"registry.example.com/a/b:v1.0": time.Minute,
	} {
		r, err := mirror.ParseRef(ref)
		must(t, err)
		if got := c.TTLOf(r); got != want {
			t.Errorf("%s has a TTL of %s, want %s", ref, got, want)
		}
	}
	hub, ghcr := mirror.Repo{Host: "docker.io", Path: "library/app"}, mirror.Repo{Host: "ghcr.io", Path: "org/app"}
	if images, referrers := c.BackfillOf(hub); !images || !referrers {
		t.Error("images of docker.io are not backfilled with their referrers")
	}
	if images, _ := c.BackfillOf(ghcr); images {
		t.Error("images of ghcr.io are backfilled")
	}
	if local, decided := c.IsLocal(mirror.Repo{Host: "docker.io", Path: "team/app"}); !local || !decided {
		t.Error("team/app is not local")
	}
	if _, decided := c.IsLocal(hub); decided {
		t.Error("the configuration decides whether library/app is local")
	}
	if repo, err := c.Names().Repo("library/app", "hub.corp"); err != nil || repo != hub {
		t.Errorf("the repository of an alias is %v, %v", repo, err)
	}
	if got := strings.Join(c.Hosts()[:2], " "); got != "docker.io ghcr.io" || len(c.Hosts()) != 7 {
		t.Errorf("upstreams: %v", c.Hosts())
	}
}

// TestKnownUpstreamsCanBeDisabled disables the well-known registries by a flag and by the file.
func TestKnownUpstreamsCanBeDisabled(t *testing.T) {
	const file, own = "upstreams: [{host: registry.corp}]\n", "registry.corp"
	for name, tt := range map[string]struct {
		file string
		args []string
		want int
	}{
		"neither":              {file, nil, 8},
		"the flag":             {file, []string{"--known-upstreams=false"}, 1},
		"the file":             {file + "knownUpstreams: false\n", nil, 1},
		"the flag over it":     {file + "knownUpstreams: false\n", []string{"--known-upstreams"}, 8},
		"the file says yes":    {file + "knownUpstreams: true\n", nil, 8},
		"another one in front": {file, []string{"--known-upstreams=false", "--upstream", "registry.corp=http://127.0.0.1:1"}, 1},
	} {
		c, err := loadConfig(t, tt.file, tt.args...)
		must(t, err)
		if hosts := c.Hosts(); len(hosts) != tt.want || hosts[0] != own || c.Names().Default != own {
			t.Errorf("%s: upstreams are %v", name, hosts)
		}
	}
	if _, err := loadConfig(t, "knownUpstreams: false"); err == nil || !strings.Contains(err.Error(), "--upstream") {
		t.Errorf("without any upstream: %v", err)
	}
}

func TestUpstreamFlagsOfOneHostAreItsEndpoints(t *testing.T) {
	c, err := loadConfig(t, "", "--upstream", "docker.io=http://127.0.0.1:1", "--upstream", "https://quay.io", "--upstream", "docker.io=http://127.0.0.1:2")
	must(t, err)
	var urls []string
	for _, e := range c.Upstreams[0].Endpoints {
		urls = append(urls, e.URL)
	}
	if got := strings.Join(append(urls, c.Hosts()[:2]...), " "); got != "http://127.0.0.1:1 http://127.0.0.1:2 docker.io quay.io" {
		t.Errorf("upstreams: %s", got)
	}
}

func TestErrorsNameFileAndValue(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown key":       {"upstreams:\n  - hots: docker.io\n", "unknown key hots: did you mean host?"},
		"not YAML":          {"upstreams: [", "mirror.yaml:1: "},
		"not a TTL":         {"upstreams:\n  - host: docker.io\n    tagTTL: soon\n", "want a duration like 5m or 7d, or forever"},
		"no host":           {"upstreams:\n  - tagTTL: 5m\n", "not the name of a registry host"},
		"a host twice":      {"upstreams:\n  - host: docker.io\n  - host: index.docker.io\n", "configured twice"},
		"malformed pattern": {"local: [\"[\"]\n", "not a pattern"},
		"bad endpoint":      {"upstreams:\n  - host: docker.io\n    endpoints: [{url: \"ftp://x\"}]\n", "ftp://x"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadConfig(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "mirror.yaml") {
				t.Errorf("error %v, want one that names the file and says %q", err, tt.want)
			}
		})
	}
}

func load(t *testing.T, text string) Config {
	t.Helper()
	c, err := loadConfig(t, text)
	must(t, err)
	return c
}

// loadConfig loads a file and flags.
func loadConfig(t *testing.T, text string, args ...string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mirror.yaml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	var source Source
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	source.Flags(flags)
	must(t, flags.Parse(append(args, "--config", path)))
	loaded, err := source.Load()
	return loaded.Config, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDefaultBurst(t *testing.T) {
	for text, want := range map[string]int{
		"":                                 0,
		"limits: {requestsPerSecond: 50}":  100,
		"limits: {requestsPerSecond: 0.1}": 1,
		"limits: {requestsPerSecond: 5, burst: 7}": 7,
	} {
		if got := load(t, text).Middleware().Burst; got != want {
			t.Errorf("%q: a burst of %d, want %d", text, got, want)
		}
	}
}
