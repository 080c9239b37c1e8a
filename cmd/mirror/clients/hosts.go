package clients

import (
	"fmt"
	"strings"
)

// hostsFolder is a folder of containerd's format: a folder for each registry, with a hosts.toml that says where it is asked.
// https://github.com/containerd/containerd/blob/main/docs/hosts.md
type hostsFolder struct {
	path string // with a slash at its end
	cert string // the extension of a client's certificate there
	// login says that clients log in to the mirror by themselves under its own name, so that no credentials are given there.
	login bool
}

// fill has all that m mirrors asked for there, and m under its own name.
func (f hostsFolder) fill(s *Setup, m Mirror) {
	own := f.path + m.Host
	s.giveCA(m, own+"/ca.crt")
	s.giveCert(m, own+"/client"+f.cert, own+"/client.key")
	for _, host := range m.Upstreams {
		s.Files = append(s.Files, File{Path: f.path + host + "/hosts.toml", Text: f.upstream(m, host), Secret: m.User != ""})
	}
	text := fmt.Sprintf("%s\nserver = %q\n\n[host.%q]\n%s", comment("Under its own name the mirror takes pushes, too."), m.URL(), m.URL(), f.tls(m, "  "))
	if m.User != "" && !f.login {
		text += "\n" + header(m, fmt.Sprintf("host.%q.header", m.URL()))
	}
	s.Files = append(s.Files, File{Path: own + "/hosts.toml", Text: text, Secret: m.User != "" && !f.login})
}

// upstream is the file of a registry that m mirrors.
func (f hostsFolder) upstream(m Mirror, host string) string {
	const capabilities = "capabilities = [\"pull\", \"resolve\"]\n"
	server := host
	if host == "docker.io" {
		server = "registry-1.docker.io"
	}
	text := comment("What the mirror does not have is asked for at "+server+" next.") + fmt.Sprintf("\nserver = %q\n", "https://"+server)
	if m.NoFallback { // containerd 1.6 reads no file without a host, so the mirror is both
		text = comment(host+" is asked for at the mirror alone: what it does not have fails at once, with its reason.") +
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

// header is the table of that name, of headers that are sent with each request.
func header(m Mirror, table string) string {
	return fmt.Sprintf("[%s]\n  Authorization = %q\n", table, m.basic())
}

func containerd(m Mirror) Setup {
	var s Setup
	hostsFolder{path: "/etc/containerd/certs.d/", cert: ".crt"}.fill(&s, m)
	s.note(`containerd reads these files at each pull if its config.toml says so: config_path = "/etc/containerd/certs.d" in [plugins."io.containerd.grpc.v1.cri".registry] (containerd 1) or [plugins."io.containerd.cri.v1.images".registry] (containerd 2). ctr takes --hosts-dir /etc/containerd/certs.d.`)
	return s
}

// kubernetes is what the nodes need: a cluster has nothing of its own that says where images come from.
func kubernetes(m Mirror) Setup {
	s := containerd(m)
	s.Notes = append([]string{
		"Put these files on every node, by what made the node (cloud-init, kubeadm's pre-flight, Ansible): pods need no change, and no DaemonSet has to run first. With CRI-O use 'mirror client crio', with k3s and RKE2 'mirror client k3s'.",
	}, s.Notes...)
	return s
}
