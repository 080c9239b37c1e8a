package clients

import "encoding/json"

// docker is for all versions of Docker. Version 29 with the containerd image store, which is what it comes with, reads a
// folder of hosts.toml for every registry. Earlier ones, and 29 with the classic image store, as after an upgrade, go by
// registry-mirrors, which are for Docker Hub alone and are sent no credentials but those for Docker Hub; in certs.d they see
// the certificates only. Where there is a hosts.toml for docker.io, version 29 does not look at registry-mirrors.
func docker(m Mirror) Setup {
	daemon := map[string][]string{"registry-mirrors": {m.URL()}}
	if m.insecure() {
		daemon["insecure-registries"] = []string{m.Host}
	}
	text, _ := json.MarshalIndent(daemon, "", "  ") // of strings
	s := Setup{Files: []File{{Path: "/etc/docker/daemon.json", Text: string(text) + "\n"}}, Then: "systemctl restart docker"}
	hostsFolder{path: "/etc/docker/certs.d/", cert: ".cert", login: true}.fill(&s, m)

	s.note("Docker 29 with the containerd image store ('docker info' says io.containerd.snapshotter.v1) reads the hosts.toml files, at each pull, and comes here for all of these registries.")
	s.note("Docker up to 28, and 29 with the classic image store, go by daemon.json: they come here for images of Docker Hub only. Those of other registries they pull by the mirror's name: docker pull %s/quay.io/org/app", m.Host)
	if len(m.Upstreams) > 0 && m.Upstreams[0] != "docker.io" {
		s.note("They ask for images of Docker Hub by bare names, which belong to %s on this mirror.", m.Upstreams[0])
	}
	if m.NoFallback {
		s.note("They ask Docker Hub for what the mirror does not have: nothing switches that off in these versions.")
	}
	if m.User != "" {
		s.note("They send no credentials to a registry-mirror, so they cannot pull through this one if it wants a login. Under its own name they can, as can version 29, after: docker login --username %s %s", m.User, m.Host)
	}
	return s
}
