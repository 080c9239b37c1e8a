package clients

import (
	"encoding/json"
	"fmt"
	"strings"
)

func k3s(m Mirror) Setup {
	var text strings.Builder
	text.WriteString("mirrors:\n")
	for _, host := range append(append([]string{}, m.Upstreams...), m.Host) {
		fmt.Fprintf(&text, "  %q:\n    endpoint: [%q]\n", host, m.URL())
	}
	s := Setup{Then: "systemctl restart k3s        # k3s-agent on agents; for RKE2 use the folder rancher/rke2 and the services rke2-server and rke2-agent"}
	var config []string
	if m.User != "" {
		config = append(config, fmt.Sprintf("    auth: {username: %s, password: %s}\n", yamlString(m.User), yamlString(m.Password)))
	}
	var tls []string
	if m.CA != "" {
		const path = "/etc/rancher/k3s/mirror-ca.crt"
		tls = append(tls, "ca_file: "+path)
		s.giveCA(m, path)
	}
	if m.Cert != "" {
		const cert, key = "/etc/rancher/k3s/mirror-client.crt", "/etc/rancher/k3s/mirror-client.key"
		tls = append(tls, "cert_file: "+cert, "key_file: "+key)
		s.giveCert(m, cert, key)
	}
	if len(tls) > 0 {
		config = append(config, "    tls: {"+strings.Join(tls, ", ")+"}\n")
	}
	if len(config) > 0 {
		fmt.Fprintf(&text, "configs:\n  %q:\n%s", m.Host, strings.Join(config, ""))
	}
	s.Files = append([]File{{Path: "/etc/rancher/k3s/registries.yaml", Text: text.String(), Secret: m.User != ""}}, s.Files...)
	if m.NoFallback {
		s.Files = append(s.Files, File{Path: "/etc/rancher/k3s/config.yaml.d/mirror.yaml", Text: comment("Only the mirror is used: content that it does not have fails at once.") +
			"disable-default-registry-endpoint: true\n"})
	}
	return s
}

// yamlString quotes a string for YAML, which is a superset of JSON.
func yamlString(s string) string {
	text, _ := json.Marshal(s) // strings always encode
	return string(text)
}
