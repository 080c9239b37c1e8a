// Package clients knows what each client needs to be told to pull through a mirror: which file, and what is in it.
package clients

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
)

// Mirror is a mirror as its clients reach it.
type Mirror struct {
	Host      string   // name or address, with the port unless it is that of HTTP or HTTPS
	TLS       bool     // it is reached by HTTPS
	CA        string   // the file of an authority that clients need to be given; "" if they know it
	Cert, Key string   // the files of a certificate that clients have to show and of its key; "" if they need none
	Upstreams []string // hosts that it mirrors; bare names belong to the first
}

// URL is the address of the mirror.
func (m Mirror) URL() string {
	if m.TLS {
		return "https://" + m.Host
	}
	return "http://" + m.Host
}

// insecure reports whether a client has to be told that there is no TLS: most take that for granted on loopback.
func (m Mirror) insecure() bool {
	host, _, err := net.SplitHostPort(m.Host)
	if err != nil {
		host = m.Host
	}
	ip := net.ParseIP(host)
	return !m.TLS && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// File is a file on a client's machine.
type File struct {
	Path string
	Text string // what is in it; "" for a copy of Copy
	Copy string
}

// Setup is what a client needs.
type Setup struct {
	Files []File
	Then  string   // what makes the client read them, as a command; "" if it does by itself
	Notes []string // sentences
}

// Kinds are the clients that [For] knows.
var Kinds = []string{"docker", "containerd", "podman", "crio", "k3s", "buildkit", "kubernetes"}

// For returns what a kind of client needs to use m.
func For(kind string, m Mirror) (Setup, error) {
	switch kind {
	case "docker":
		return docker(m), nil
	case "containerd":
		return containerd(m), nil
	case "podman":
		return podman(m, ""), nil
	case "crio":
		return podman(m, "systemctl reload crio"), nil
	case "k3s":
		return k3s(m), nil
	case "buildkit":
		return buildkit(m), nil
	case "kubernetes":
		return kubernetes(m), nil
	}
	return Setup{}, fmt.Errorf("%q is not a client that is known: want one of %s", kind, strings.Join(Kinds, ", "))
}

func docker(m Mirror) Setup {
	daemon := map[string][]string{"registry-mirrors": {m.URL()}}
	if m.insecure() {
		daemon["insecure-registries"] = []string{m.Host}
	}
	text, _ := json.MarshalIndent(daemon, "", "  ") // of strings
	s := Setup{Files: []File{{Path: "/etc/docker/daemon.json", Text: string(text) + "\n"}}, Then: "systemctl restart docker"}
	s.giveCA(m, "/etc/docker/certs.d/"+m.Host+"/ca.crt")
	s.giveCert(m, "/etc/docker/certs.d/"+m.Host+"/client.cert", "/etc/docker/certs.d/"+m.Host+"/client.key")
	if len(m.Upstreams) > 0 && m.Upstreams[0] != "docker.io" {
		s.Notes = append(s.Notes, "Docker asks its registry-mirrors for images of Docker Hub, by bare names; on this mirror those belong to "+m.Upstreams[0]+".")
	}
	s.Notes = append(s.Notes, "Docker asks registry-mirrors for images of Docker Hub only. Those of other registries are pulled by the mirror's name: docker pull "+m.Host+"/quay.io/org/app")
	return s
}

func containerd(m Mirror) Setup {
	const folder = "/etc/containerd/certs.d/"
	s := Setup{Notes: []string{
		`containerd reads these files at each pull if its config.toml says so: config_path = "/etc/containerd/certs.d" in [plugins."io.containerd.grpc.v1.cri".registry] (containerd 1) or [plugins."io.containerd.cri.v1.images".registry] (containerd 2). ctr takes --hosts-dir /etc/containerd/certs.d.`,
	}}
	tls := ""
	if m.CA != "" {
		s.Files = append(s.Files, File{Path: folder + m.Host + "/ca.crt", Copy: m.CA})
		tls = fmt.Sprintf("  ca = %q\n", folder+m.Host+"/ca.crt")
	}
	if m.Cert != "" {
		cert, key := folder+m.Host+"/client.crt", folder+m.Host+"/client.key"
		s.giveCert(m, cert, key)
		tls += fmt.Sprintf("  client = [[%q, %q]]\n", cert, key)
	}
	for _, host := range m.Upstreams {
		server := host
		if host == "docker.io" {
			server = "registry-1.docker.io"
		}
		s.Files = append(s.Files, File{Path: folder + host + "/hosts.toml", Text: fmt.Sprintf(
			"server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n%s", "https://"+server, m.URL(), tls)})
	}
	// Under its own name it takes pushes, too.
	s.Files = append(s.Files, File{Path: folder + m.Host + "/hosts.toml", Text: fmt.Sprintf("server = %q\n\n[host.%q]\n%s", m.URL(), m.URL(), tls)})
	return s
}

func podman(m Mirror, then string) Setup {
	var text strings.Builder
	for i, host := range m.Upstreams {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "[[registry]]\nprefix = %q\nlocation = %q\n\n[[registry.mirror]]\nlocation = %q\n", host, host, m.Host+"/"+host)
		if !m.TLS {
			text.WriteString("insecure = true\n")
		}
	}
	if !m.TLS {
		fmt.Fprintf(&text, "\n[[registry]]\nlocation = %q\ninsecure = true\n", m.Host)
	}
	s := Setup{Files: []File{{Path: "/etc/containers/registries.conf.d/mirror.conf", Text: text.String()}}, Then: then}
	s.giveCA(m, "/etc/containers/certs.d/"+m.Host+"/ca.crt")
	s.giveCert(m, "/etc/containers/certs.d/"+m.Host+"/client.cert", "/etc/containers/certs.d/"+m.Host+"/client.key")
	return s
}

func k3s(m Mirror) Setup {
	var text strings.Builder
	text.WriteString("mirrors:\n")
	for _, host := range append(append([]string{}, m.Upstreams...), m.Host) {
		fmt.Fprintf(&text, "  %q:\n    endpoint: [%q]\n", host, m.URL())
	}
	s := Setup{Then: "systemctl restart k3s        # k3s-agent on agents; for RKE2 the folder is rancher/rke2, the services rke2-server and rke2-agent"}
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
		fmt.Fprintf(&text, "configs:\n  %q:\n    tls: {%s}\n", m.Host, strings.Join(tls, ", "))
	}
	s.Files = append([]File{{Path: "/etc/rancher/k3s/registries.yaml", Text: text.String()}}, s.Files...)
	return s
}

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
	switch {
	case !m.TLS:
		text.WriteString("  http = true\n")
	case m.CA != "":
		fmt.Fprintf(&text, "  ca = [%q]\n", path)
		s.giveCA(m, path)
	}
	if m.Cert != "" {
		const cert, key = "/etc/buildkit/mirror-client.crt", "/etc/buildkit/mirror-client.key"
		fmt.Fprintf(&text, "\n[[registry.%q.keypair]]\n  key = %q\n  cert = %q\n", m.Host, key, cert)
		s.giveCert(m, cert, key)
	}
	s.Files = append([]File{{Path: "/etc/buildkit/buildkitd.toml", Text: text.String()}}, s.Files...)
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

func (s *Setup) giveCA(m Mirror, path string) {
	if m.CA != "" {
		s.Files = append(s.Files, File{Path: path, Copy: m.CA})
	}
}

// giveCert has the certificate that a client shows copied to it, and its key.
func (s *Setup) giveCert(m Mirror, cert, key string) {
	if m.Cert != "" {
		s.Files = append(s.Files, File{Path: cert, Copy: m.Cert}, File{Path: key, Copy: m.Key})
	}
}
