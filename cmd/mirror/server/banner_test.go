package server

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airmirror/api/certs"
	"airmirror/cmd/mirror/config"
	"airmirror/cmd/mirror/config/settings"
)

// TestBannerIsTrueForTheAddress prints the banner for several addresses and settings.
func TestBannerIsTrueForTheAddress(t *testing.T) {
	name := config.HostName()
	everywhere, loopback := &net.TCPAddr{IP: net.IPv6unspecified, Port: 5000}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000}
	for what, tt := range map[string]struct {
		change  func(*banner)
		want    []string
		without []string
	}{
		"every address": {func(*banner) {},
			[]string{`"registry-mirrors": ["http://localhost:5000"]`, "Other machines reach it as http://" + name + ":5000.", `"insecure-registries": ["` + name + `:5000"]`, "To push: docker tag IMAGE localhost:5000/NAME"},
			[]string{"Only this machine", "docker login"}},
		"a loopback address": {func(b *banner) { b.address = loopback },
			[]string{"Only this machine can connect"}, []string{"Other machines", "insecure-registries"}},
		"TLS": {func(b *banner) {
			b.TLS = config.TLS{CertFile: "c", KeyFile: "k"}
			b.OwnNames = []string{"reg.example:5000"}
		},
			[]string{"Other machines reach it as https://reg.example:5000, and have to trust", "mirror client docker --host https://reg.example:5000 --ca FILE"}, []string{"insecure-registries"}},
		"a certificate for another name than localhost": {func(b *banner) { b.TLS = certificateFor(t, "reg.example") },
			[]string{`"registry-mirrors": ["https://reg.example:5000"]`, "To push: docker tag IMAGE reg.example:5000/NAME"}, []string{"localhost"}},
		"a certificate for localhost too": {func(b *banner) { b.TLS = certificateFor(t, "reg.example", "localhost") },
			[]string{`"registry-mirrors": ["https://localhost:5000"]`}, nil},
		"a certificate in a container": {func(b *banner) { b.TLS, b.container = certificateFor(t, "reg.example"), true },
			[]string{"Other machines reach it as https://reg.example:5000"}, []string{"NAME:5000"}},
		"users": {func(b *banner) { b.users = 2 }, []string{"To push: docker login localhost:5000, then docker tag"}, nil},
		"a container": {func(b *banner) { b.container = true },
			[]string{"MIRROR_AUTH_INITIAL_USER_NAME=admin", "docker exec", "Other machines reach it as http://NAME:5000"}, []string{"To push: docker", name + ":5000"}},
		"a container with users": {func(b *banner) { b.container, b.users = true, 1 }, []string{"To push: docker login"}, []string{"INITIAL_USER"}},
	} {
		c, err := config.Default().Complete(settings.Origins{})
		if err != nil {
			t.Fatal(err)
		}
		b := banner{Config: c, address: everywhere}
		tt.change(&b)
		var out strings.Builder
		b.print(&out)
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", what, want, &out)
			}
		}
		for _, text := range tt.without {
			if strings.Contains(out.String(), text) {
				t.Errorf("%s: %q is in\n%s", what, text, &out)
			}
		}
	}
}

// certificateFor makes a certificate for names.
func certificateFor(t *testing.T, names ...string) config.TLS {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.Make(dir, names, false, time.Hour); err != nil {
		t.Fatal(err)
	}
	return config.TLS{CertFile: filepath.Join(dir, certs.ServerCert), KeyFile: filepath.Join(dir, certs.ServerKey)}
}
