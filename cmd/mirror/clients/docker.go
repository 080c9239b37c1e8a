package clients

import "encoding/json"

// docker supports all versions of Docker. Version 29 with the containerd image store, its default, reads a hosts.toml for
// each registry, and ignores registry-mirrors if there is a hosts.toml for docker.io. Earlier versions, and version 29 with
// the classic image store, as after an upgrade, use registry-mirrors. These apply only to Docker Hub, and receive only the
// credentials for Docker Hub. Of certs.d, these versions read only the certificates.
func docker(m Mirror) Setup {
	daemon := map[string][]string{"registry-mirrors": {m.URL()}}
	if m.insecure() {
		daemon["insecure-registries"] = []string{m.Host}
	}
	text, _ := json.MarshalIndent(daemon, "", "  ") // strings always encode
	s := Setup{Files: []File{{Path: "/etc/docker/daemon.json", Text: string(text) + "\n"}}, Then: "systemctl restart docker"}
	hostsFolder{path: "/etc/docker/certs.d/", cert: ".cert", login: true}.fill(&s, m)

	s.note("If daemon.json exists, add these keys to it instead of replacing it, and join the lists that it has: a second \"registry-mirrors\" in the file would replace the first. 'dockerd --validate' checks the file.")
	s.note("Docker 29 with the containerd image store ('docker info' says io.containerd.snapshotter.v1) reads the hosts.toml files at each pull, and uses the mirror for all of these registries.")
	s.note("Docker up to 28, and 29 with the classic image store, read daemon.json, and use the mirror for images of Docker Hub only. Pull images of other registries under the name of the mirror: docker pull %s/quay.io/org/app", m.Host)
	if len(m.Upstreams) > 0 && m.Upstreams[0] != "docker.io" {
		s.note("They request images of Docker Hub by names without a host, which belong to %s on this mirror.", m.Upstreams[0])
	}
	if m.NoFallback {
		s.note("They contact Docker Hub for content that the mirror does not have. This cannot be disabled in these versions.")
	}
	if m.User != "" {
		s.note("They send no credentials to a registry-mirror, and cannot pull through a mirror that requires a login. Under the name of the mirror, they can pull after a login, and so can version 29: docker login --username %s %s", m.User, m.Host)
	}
	return s
}
