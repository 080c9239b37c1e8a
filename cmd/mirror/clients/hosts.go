package clients

import (
	"fmt"
	"strings"
)

// hostsFolder is a folder in the format of containerd, with a hosts.toml for each registry:
// https://github.com/containerd/containerd/blob/main/docs/hosts.md
type hostsFolder struct {
	path string // with a slash at its end
	cert string // extension of client certificates
	// login says that clients log in to the mirror themselves, so that the hosts.toml of the mirror has no credentials.
	login bool
}

// fill adds the files for the upstreams of m and for m itself.
func (f hostsFolder) fill(s *Setup, m Mirror) {
	own := f.path + m.Host
	s.giveCA(m, own+"/ca.crt")
	s.giveCert(m, own+"/client"+f.cert, own+"/client.key")
	for _, host := range m.Upstreams {
		s.Files = append(s.Files, File{Path: f.path + host + "/hosts.toml", Text: f.upstream(m, host), Secret: m.User != ""})
	}
	text := fmt.Sprintf("%s\nserver = %q\n\n[host.%q]\n%s", comment("Under its own name, the mirror also accepts pushes."), m.URL(), m.URL(), f.tls(m, "  "))
	if m.User != "" && !f.login {
		text += "\n" + header(m, fmt.Sprintf("host.%q.header", m.URL()))
	}
	s.Files = append(s.Files, File{Path: own + "/hosts.toml", Text: text, Secret: m.User != "" && !f.login})
}

// upstream returns the hosts.toml of a registry that m mirrors.
func (f hostsFolder) upstream(m Mirror, host string) string {
	const capabilities = "capabilities = [\"pull\", \"resolve\"]\n"
	server := host
	if host == "docker.io" {
		server = "registry-1.docker.io"
	}
	text := comment("Content that the mirror does not have is fetched from "+server+".") + fmt.Sprintf("\nserver = %q\n", "https://"+server)
	if m.NoFallback { // the mirror is also a host, as containerd 1.6 ignores a file without one
		text = comment("Only the mirror is used for "+host+": content that it does not have fails at once.") +
			fmt.Sprintf("\nserver = %q\n", m.URL()) + capabilities + f.tls(m, "")
	}
	text += fmt.Sprintf("\n[host.%q]\n  ", m.URL()) + capabilities + f.tls(m, "  ")
	if m.User != "" {
		text += "\n" + header(m, fmt.Sprintf("host.%q.header", m.URL()))
	}
	if m.User != "" && m.NoFallback {
		text += "\n" + header(m, "header")
	}
	return text
}

// tls returns the TLS settings for m.
func (f hostsFolder) tls(m Mirror, indent string) string {
	var text strings.Builder
	own := f.path + m.Host
	if m.CA != "" {
		fmt.Fprintf(&text, "%sca = %q\n", indent, own+"/ca.crt")
	}
	if m.Cert != "" {
		fmt.Fprintf(&text, "%sclient = [[%q, %q]]\n", indent, own+"/client"+f.cert, own+"/client.key")
	}
	return text.String()
}

// header returns the table of headers that are sent with each request.
func header(m Mirror, table string) string {
	return fmt.Sprintf("[%s]\n  Authorization = %q\n", table, m.basic())
}

func containerd(m Mirror) Setup {
	var s Setup
	hostsFolder{path: "/etc/containerd/certs.d/", cert: ".crt"}.fill(&s, m)
	s.note(`containerd reads these files at each pull with this setting in config.toml: config_path = "/etc/containerd/certs.d" in [plugins."io.containerd.grpc.v1.cri".registry] (containerd 1) or [plugins."io.containerd.cri.v1.images".registry] (containerd 2). ctr takes --hosts-dir /etc/containerd/certs.d.`)
	return s
}

// kubernetes returns the configuration of the nodes. Kubernetes itself has no setting for mirrors.
func kubernetes(m Mirror) Setup {
	s := containerd(m)
	s.Notes = append([]string{
		"Copy these files to every node with the tool that creates the nodes (cloud-init, kubeadm, Ansible). Pods need no change, and no DaemonSet has to run first. For CRI-O use 'mirror client crio', for k3s and RKE2 'mirror client k3s'.",
	}, s.Notes...)
	return s
}
