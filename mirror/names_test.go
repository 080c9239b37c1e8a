package mirror

import (
	"strings"
	"testing"
)

func TestNamesOfRequests(t *testing.T) {
	for _, tt := range []struct {
		def, name, ns string
		want          string
		served        string
	}{
		{"", "library/alpine", "docker.io", "docker.io/library/alpine", "library/alpine"},
		{"", "library/alpine", "", "docker.io/library/alpine", "library/alpine"},
		{"", "docker.io/library/alpine", "", "docker.io/library/alpine", "library/alpine"},
		{"", "library/alpine", "registry-1.docker.io", "docker.io/library/alpine", "library/alpine"},
		{"", "index.docker.io/library/alpine", "", "docker.io/library/alpine", "library/alpine"},
		{"", "ghcr.io/org/app", "", "ghcr.io/org/app", "ghcr.io/org/app"},
		{"", "org/app", "ghcr.io", "ghcr.io/org/app", "ghcr.io/org/app"},
		{"", "localhost/app", "", "localhost/app", "localhost/app"},
		{"", "app", "127.0.0.1:5600", "127.0.0.1:5600/app", "127.0.0.1:5600/app"},
		{"quay.io", "org/app", "", "quay.io/org/app", "org/app"},
		{"quay.io", "docker.io/library/alpine", "", "docker.io/library/alpine", "docker.io/library/alpine"},
		{"127.0.0.1:5600", "app", "", "127.0.0.1:5600/app", "app"},
		{"", "docker.io/library/alpine", "docker.io", "docker.io/library/alpine", "library/alpine"},
		{"", "docker.io/library/alpine", "registry-1.docker.io", "docker.io/library/alpine", "library/alpine"},
		{"", "Index.Docker.IO/library/alpine", "docker.io", "docker.io/library/alpine", "library/alpine"},
		{"", "quay.io/org/app", "QUAY.io", "quay.io/org/app", "quay.io/org/app"},
		{"", "quay.io/org/app", "alias.example", "quay.io/org/app", "quay.io/org/app"},
		{"", "alias.example/org/app", "quay.io", "quay.io/org/app", "quay.io/org/app"},
		{"quay.io", "quay.io/org/app", "quay.io", "quay.io/org/app", "org/app"},
		{"", "localhost:5001/app", "localhost:5001", "localhost:5001/app", "localhost:5001/app"},
		{"", "quay.io/quay.io/app", "quay.io", "quay.io/quay.io/app", "quay.io/quay.io/app"}, // one host is in front
		{"", "quay.io/org/app", "ghcr.io", "ghcr.io/quay.io/org/app", "ghcr.io/quay.io/org/app"},
		{"", "a_b.c/app", "", "docker.io/a_b.c/app", "a_b.c/app"},
		{"", "1.0_rc/app", "", "docker.io/1.0_rc/app", "1.0_rc/app"},
		{"quay.io", "a__b.c/d/app", "", "quay.io/a__b.c/d/app", "a__b.c/d/app"},
		{"", "a_b.c/app", "ghcr.io", "ghcr.io/a_b.c/app", "ghcr.io/a_b.c/app"},
	} {
		t.Run(tt.def+" "+tt.name+" "+tt.ns, func(t *testing.T) {
			names := Names{Default: tt.def, Aliases: map[string]string{"alias.example": "quay.io"}}
			repo, err := names.Repo(tt.name, tt.ns)
			if err != nil {
				t.Fatal(err)
			}
			if repo.String() != tt.want {
				t.Errorf("Repo = %s, want %s", repo, tt.want)
			}
			if served := names.Served(repo); served != tt.served {
				t.Errorf("Served = %s, want %s", served, tt.served)
			}
			if again, err := ParseRepo(repo.String()); err != nil || again != repo {
				t.Errorf("ParseRepo(%s) = %v, %v", repo, again, err)
			}
		})
	}
}

func TestOwnAddressIsNoRegistry(t *testing.T) {
	names := Names{Own: map[string]bool{"localhost:5000": true, "reg.example": true, "[::1]:5000": true}}
	for _, tt := range []struct{ name, ns, want string }{
		{"localhost:5000/team/app", "", "docker.io/team/app"},
		{"LOCALHOST:5000/team/app", "", "docker.io/team/app"},
		{"[::1]:5000/team/app", "", "docker.io/team/app"},
		{"reg.example/app", "", "docker.io/app"},
		{"reg.example/ghcr.io/org/app", "", "ghcr.io/org/app"},
		{"reg.example/localhost:5000/app", "", "localhost:5000/app"}, // only one address is in front of a name
		{"team/app", "reg.example", "docker.io/team/app"},
		{"ghcr.io/org/app", "reg.example", "ghcr.io/org/app"},
		{"team/app", "Reg.Example", "docker.io/team/app"},
		{"localhost:5001/team/app", "", "localhost:5001/team/app"},
		{"reg.example:443/team/app", "", "reg.example:443/team/app"},
		{"reg.example/app", "ghcr.io", "ghcr.io/reg.example/app"},
		{"docker.io/library/alpine", "reg.example", "docker.io/library/alpine"},
		{"reg.example/ghcr.io/org/app", "reg.example", "ghcr.io/org/app"},
		{"localhost/app", "", "localhost/app"},
	} {
		repo, err := names.Repo(tt.name, tt.ns)
		if err != nil || repo.String() != tt.want {
			t.Errorf("Repo(%q, %q) = %s, %v, want %s", tt.name, tt.ns, repo, err, tt.want)
		}
	}
	for name, want := range map[string]string{"localhost:5000/team/*": "team/*", "localhost:5000": "localhost:5000", "localhost:5000/": "localhost:5000/", "team/*": "team/*"} {
		if rest, own := names.Bare(name); rest != want || own != (rest != name) {
			t.Errorf("Bare(%q) = %q, %v", name, rest, own)
		}
	}
}

func TestNamesOutsideTheGrammar(t *testing.T) {
	for _, tt := range []struct{ name, ns string }{
		{"", ""}, {"Upper", ""}, {"a//b", ""}, {"/a", ""}, {"a/", ""}, {"../etc", ""}, {"a/../b", ""}, {"a b", ""},
		{"a\x00b", ""}, {"-a", ""}, {"a._b", ""}, {"app", "no host"}, {"app", "host/path"}, {"app", "http://host"},
		{"app", "-host"}, {"app", "host:port"}, {"a:b/app", ""}, {"-a.b/app", ""}, {"A_b.c/app", ""}, {strings.Repeat("a", 256), ""}, {"..io/a", ""},
	} {
		if repo, err := (Names{}).Repo(tt.name, tt.ns); CodeOf(err) != CodeNameInvalid {
			t.Errorf("Repo(%q, %q) = %v, %v, want %s", tt.name, tt.ns, repo, err, CodeNameInvalid)
		}
	}
}

func TestTagOrDigest(t *testing.T) {
	sha256 := "sha256:" + strings.Repeat("a", 64)
	sha512 := "sha512:" + strings.Repeat("b", 128)
	for _, tt := range []struct {
		in   string
		code Code
	}{
		{"latest", ""}, {"_v1.0-rc.1", ""}, {strings.Repeat("x", 128), ""}, {sha256, ""}, {sha512, ""},
		{strings.Repeat("x", 129), CodeManifestInvalid}, {"", CodeManifestInvalid}, {".a", CodeManifestInvalid},
		{"a/b", CodeManifestInvalid}, {sha256 + "a", CodeDigestInvalid}, {"sha256:", CodeDigestInvalid},
		{strings.ToUpper(sha256), CodeDigestInvalid}, {"md5:" + strings.Repeat("a", 32), CodeDigestInvalid},
		{"sha384:" + strings.Repeat("a", 96), CodeDigestInvalid},
	} {
		tag, d, err := ParseTagOrDigest(tt.in)
		if CodeOf(err) != tt.code {
			t.Errorf("ParseTagOrDigest(%q) = %v, want code %q", tt.in, err, tt.code)
		}
		if err == nil && tag+d.String() != tt.in {
			t.Errorf("ParseTagOrDigest(%q) = %q, %q", tt.in, tag, d)
		}
	}
}
