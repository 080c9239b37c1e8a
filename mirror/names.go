package mirror

import "strings"

// DockerHub is the host under which content of Docker Hub is named.
const DockerHub = "docker.io"

// Names tells which repository a request means, and how this mirror calls a repository in its answers.
//
// A repository is asked for in four ways that meet in one place (here with docker.io as the default):
//
//	containerd   library/alpine with ?ns=docker.io             docker.io/library/alpine
//	path prefix  ghcr.io/org/app                               ghcr.io/org/app
//	both         docker.io/library/alpine with ?ns=docker.io   docker.io/library/alpine
//	bare         library/alpine                                docker.io/library/alpine
//
// The first part of a path is a host if it has a dot or a colon in it or is "localhost", which is the rule that Docker's
// tools use for references, and if it is within the grammar of hosts: a_b.c is none. So a name never changes its meaning
// with the configuration, and content that a bundle brought from a registry that this mirror cannot reach is found under
// that registry's name.
//
// Both is what clients send whose mirror is configured with a path, as one has to with Harbor and Artifactory:
// override_path of containerd, rewrites of k3s, mirrors of buildkit. The two hosts are compared after their aliases; one
// that differs from ns is part of the path.
//
// Addresses of this mirror itself are no registry's: whoever saved localhost:5000/team/app:1, or asks for it with
// ?ns=localhost:5000, means what GET /v2/team/app/manifests/1 means here.
type Names struct {
	// Default is the host that bare names belong to; [DockerHub] if it is empty.
	Default string
	// Aliases are other names of hosts, to the one that content is named by. Docker Hub's are known.
	Aliases map[string]string
	// Own are the addresses that this mirror is reached by, in lower case and with their ports where they have one.
	Own map[string]bool
}

// Repo returns the repository that a request for name means, with ns being the value of its ns query parameter or "".
// It returns [CodeNameInvalid] for anything outside the grammar.
func (n Names) Repo(name, ns string) (Repo, error) {
	if ns != "" && n.own(ns) {
		ns = ""
	}
	if ns == "" {
		name, _ = n.Bare(name)
	}
	repo := Repo{Host: n.DefaultHost(), Path: name}
	if ns != "" {
		repo.Host = n.host(ns)
	}
	if first, rest, ok := strings.Cut(name, "/"); ok && namesHost(first) {
		if host := n.host(first); ns == "" || host == repo.Host {
			repo = Repo{Host: host, Path: rest}
		}
	}
	return repo, repo.Validate()
}

// Bare returns a name, or a pattern of names, without the address of this mirror in front of it, and whether there was one.
// An address with nothing behind it is left.
func (n Names) Bare(name string) (rest string, own bool) {
	host, rest, ok := strings.Cut(name, "/")
	if !ok || rest == "" || !n.own(host) {
		return name, false
	}
	return rest, true
}

func (n Names) own(host string) bool { return len(n.Own) > 0 && n.Own[strings.ToLower(host)] }

// Served returns the name of repo as this mirror serves it: bare for the default host, with the host in front for others.
func (n Names) Served(repo Repo) string {
	if repo.Host == n.DefaultHost() {
		return repo.Path
	}
	return repo.String()
}

func (n Names) host(host string) string {
	host = CanonicalHost(host)
	if name, ok := n.Aliases[host]; ok {
		return name
	}
	return host
}

func (n Names) DefaultHost() string {
	if n.Default == "" {
		return DockerHub
	}
	return n.Default
}

// CanonicalHost returns the one name of a registry that has several: Docker Hub's.
func CanonicalHost(host string) string {
	host = strings.ToLower(host)
	switch host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return DockerHub
	}
	return host
}

func namesHost(first string) bool {
	return (strings.ContainsAny(first, ".:") || first == "localhost") && ValidHost(first)
}

// LongName returns the repository that is read in the place of repo, a short name, as long as nothing was pushed under
// that; ok is false if repo is no short name.
func LongName(repo Repo) (long Repo, ok bool) {
	if repo.Host != DockerHub || strings.Contains(repo.Path, "/") {
		return repo, false
	}
	return Repo{Host: DockerHub, Path: "library/" + repo.Path}, true
}
