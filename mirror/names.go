package mirror

import "strings"

// DockerHub is the host of the repositories of Docker Hub.
const DockerHub = "docker.io"

// Names maps the names in requests to repositories, and repositories to the names that this mirror serves them under.
//
// Requests name a repository in four ways, here with docker.io as the default host:
//
//	containerd   library/alpine with ?ns=docker.io             docker.io/library/alpine
//	path prefix  ghcr.io/org/app                               ghcr.io/org/app
//	both         docker.io/library/alpine with ?ns=docker.io   docker.io/library/alpine
//	bare         library/alpine                                docker.io/library/alpine
//
// The first part of a path is a host if it has a dot or a colon or is "localhost", as in Docker's references, and if it
// is within the grammar of hosts, which excludes a_b.c. So the meaning of a name does not depend on the configured
// upstreams, and imported content of a registry that this mirror cannot reach is found under the name of that registry.
//
// Clients send both if their mirror is configured with a path, as for Harbor and Artifactory: by override_path of
// containerd, rewrites of k3s, or mirrors of buildkit. The hosts are compared after their aliases were resolved. If the
// host in the path differs from ns, it is part of the path.
//
// The addresses of this mirror are not those of a registry: localhost:5000/team/app:1, or ?ns=localhost:5000, means the
// same as GET /v2/team/app/manifests/1 to this mirror.
type Names struct {
	// Default is the host of bare names. The default is [DockerHub].
	Default string
	// Aliases maps other names of hosts to their canonical names. Those of Docker Hub are built in.
	Aliases map[string]string
	// Own are the addresses of this mirror, in lower case, with their ports if they have any.
	Own map[string]bool
}

// Repo returns the repository that name means in a request whose ns query parameter is ns. The error for a name outside
// the grammar is a [CodeNameInvalid].
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

// Bare removes the address of this mirror from the beginning of a name, or of a pattern of names. own reports whether
// there was one. An address with nothing after it is not removed.
func (n Names) Bare(name string) (rest string, own bool) {
	host, rest, ok := strings.Cut(name, "/")
	if !ok || rest == "" || !n.own(host) {
		return name, false
	}
	return rest, true
}

// RefuseURL returns an error if somebody wrote a URL where the name of an image or a pattern of names is expected.
func RefuseURL(name string) error {
	scheme, address, ok := strings.Cut(name, "://")
	if !ok {
		return nil
	}
	return Errorf(CodeNameInvalid, "this is a URL, and the name of an image has none: leave out %s://, and write %s", scheme, address)
}

func (n Names) own(host string) bool { return len(n.Own) > 0 && n.Own[strings.ToLower(host)] }

// Served returns the name that this mirror serves repo under: without the host for the default host.
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

// DefaultHost returns the host of bare names.
func (n Names) DefaultHost() string {
	if n.Default == "" {
		return DockerHub
	}
	return n.Default
}

// CanonicalHost returns a host in lower case, and [DockerHub] for the other names of Docker Hub.
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

// LongName returns docker.io/library/name for the short name docker.io/name. A short name is read as the long one as
// long as nothing was pushed under it. ok is false if repo is not a short name.
func LongName(repo Repo) (long Repo, ok bool) {
	if repo.Host != DockerHub || strings.Contains(repo.Path, "/") {
		return repo, false
	}
	return Repo{Host: DockerHub, Path: "library/" + repo.Path}, true
}
