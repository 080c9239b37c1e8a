package clients

import (
	"encoding/json"
	"fmt"
	"strings"
)

// podman supports the tools that read registries.conf: podman, buildah and skopeo.
func podman(m Mirror) Setup {
	s := Setup{Files: []File{{Path: "/etc/containers/registries.conf.d/mirror.conf", Text: registriesConf(m)}}}
	s.giveCA(m, "/etc/containers/certs.d/"+m.Host+"/ca.crt")
	s.giveCert(m, "/etc/containers/certs.d/"+m.Host+"/client.cert", "/etc/containers/certs.d/"+m.Host+"/client.key")
	if m.User != "" {
		s.Then = "podman login --username " + m.User + " " + m.Host
		if !m.TLS {
			s.Then = "podman login --tls-verify=false --username " + m.User + " " + m.Host
		}
		s.note("Each account that pulls has to log in. The login is valid for all content of the mirror.")
	}
	return s
}

func crio(m Mirror) Setup {
	creds, user := m, m.User
	m.User, m.Password = "", ""
	s := podman(m)
	s.Then = "systemctl reload crio"
	if user != "" {
		const path = "/etc/crio/mirror-auth.json"
		auths, _ := json.MarshalIndent(map[string]any{"auths": map[string]any{m.Host: map[string]string{"auth": creds.auth()}}}, "", "  ") // strings always encode
		s.Files = append(s.Files,
			File{Path: "/etc/crio/crio.conf.d/20-mirror.conf", Text: comment("For pulls without credentials of their own, such as imagePullSecrets.") +
				fmt.Sprintf("\n[crio.image]\nglobal_auth_file = %q\n", path)},
			File{Path: path, Text: string(auths) + "\n", Secret: true})
	}
	return s
}

func registriesConf(m Mirror) string {
	var text strings.Builder
	if m.NoFallback {
		text.WriteString(comment("Only the mirror is used for these registries: content that it does not have fails at once."))
	} else {
		text.WriteString(comment("Content that the mirror does not have is fetched from the registry itself."))
	}
	insecure := ""
	if !m.TLS {
		insecure = "insecure = true\n"
	}
	for _, host := range m.Upstreams {
		at := m.Host + "/" + host
		if m.NoFallback {
			fmt.Fprintf(&text, "\n[[registry]]\nprefix = %q\nlocation = %q\n%s", host, at, insecure)
			continue
		}
		fmt.Fprintf(&text, "\n[[registry]]\nprefix = %q\nlocation = %q\n\n[[registry.mirror]]\nlocation = %q\n%s", host, host, at, insecure)
	}
	if insecure != "" {
		fmt.Fprintf(&text, "\n[[registry]]\nlocation = %q\n%s", m.Host, insecure)
	}
	return text.String()
}
