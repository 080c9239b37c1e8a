package clients

import (
	"fmt"
	"strings"
)

func buildkit(m Mirror) Setup {
	const path = "/etc/buildkit/mirror-ca.crt"
	var text strings.Builder
	for _, host := range m.Upstreams {
		fmt.Fprintf(&text, "[registry.%q]\n  mirrors = [%q]\n\n", host, m.Host)
	}
	fmt.Fprintf(&text, "[registry.%q]\n", m.Host)
	s := Setup{Then: "systemctl restart buildkit", Notes: []string{
		"With docker buildx: docker buildx create --driver docker-container --buildkitd-config buildkitd.toml",
	}}
	fmt.Fprintf(&text, "  http = %t\n", !m.TLS) // otherwise buildkitd assumes plain HTTP on loopback addresses
	if m.CA != "" {
		fmt.Fprintf(&text, "  ca = [%q]\n", path)
		s.giveCA(m, path)
	}
	if m.Cert != "" {
		const cert, key = "/etc/buildkit/mirror-client.crt", "/etc/buildkit/mirror-client.key"
		fmt.Fprintf(&text, "\n[[registry.%q.keypair]]\n  key = %q\n  cert = %q\n", m.Host, key, cert)
		s.giveCert(m, cert, key)
	}
	if m.NoFallback {
		s.note("buildkitd contacts the registry itself for content that the mirror does not have. This cannot be disabled.")
	}
	if m.User != "" {
		s.note("buildkitd uses the credentials of the user who runs buildctl or docker buildx: docker login --username %s %s", m.User, m.Host)
	}
	s.Files = append([]File{{Path: "/etc/buildkit/buildkitd.toml", Text: text.String()}}, s.Files...)
	return s
}
