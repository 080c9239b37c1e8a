package server

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
)

// printBanner prints how clients reach the server, its upstreams, who may do what, and how to configure clients. It writes
// once, so that no log line falls into the text.
func printBanner(w io.Writer, s *server) {
	out := new(bytes.Buffer)
	defer out.WriteTo(w) //nolint:errcheck // the server runs all the same
	c, addr := s.settings, s.listener.Addr()
	b := banner{Config: c.Config, address: addr, users: s.guard.Users(), container: inContainer()}
	fmt.Fprintf(out, "mirror %s serves %s and stores everything in %s\n", s.opts.Version, b.url(b.here()), c.Data)
	switch {
	case c.Offline:
		fmt.Fprintln(out, "offline: no upstream is contacted")
	case s.Proxy.Mode() == mirror.Offline:
		fmt.Fprintln(out, "offline: no upstream is contacted until 'mirror mode auto'")
	default:
		fmt.Fprintf(out, "upstreams: %s; names without a host belong to the first\n", strings.Join(c.Hosts(), ", "))
	}
	fmt.Fprintf(out, "access: %s\n", s.guard.Summary())
	if warning := c.OpenLogins(); warning != "" {
		fmt.Fprintf(out, "note: %s\n", warning)
	}
	b.print(out)
}

// banner is the part of the banner that depends on the address that the server listens on.
type banner struct {
	config.Config
	address   net.Addr
	users     int
	container bool // the server runs in a container
}

// print prints how clients on this machine and on others pull and push.
func (b banner) print(out io.Writer) {
	here := b.here()
	if b.Names().Default == mirror.DockerHub {
		fmt.Fprintf(out, `
To pull from Docker Hub through this mirror, add this to /etc/docker/daemon.json and restart Docker:

  { "registry-mirrors": ["%s"] }

`, b.url(here))
	}
	fmt.Fprint(out, b.others())
	switch push := fmt.Sprintf("docker tag IMAGE %[1]s/NAME && docker push %[1]s/NAME", here); {
	case b.container && b.needsUser():
		fmt.Fprint(out, `Without a user, only processes in this container may push. To create one, set these variables, or use the command:

  MIRROR_AUTH_INITIAL_USER_NAME=admin
  MIRROR_AUTH_INITIAL_USER_PASSWORD_FILE=/run/secrets/password
  docker exec --interactive --tty CONTAINER mirror user add admin

`)
	case b.users > 0 || !b.Auth.AnonymousPull:
		fmt.Fprintf(out, "To push: docker login %s, then %s\n\n", here, push)
	default:
		fmt.Fprintf(out, "To push: %s\n\n", push)
	}
}

// needsUser reports whether nobody but this machine may push.
func (b banner) needsUser() bool {
	return b.users == 0 && len(b.Auth.Rules) == 0 && !b.Auth.AnonymousPush && b.Auth.Token == (config.Token{}) && b.TLS.ClientCAFile == ""
}

// others says how other machines reach the server, and what they need for it.
func (b banner) others() string {
	if tcp, ok := b.address.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return "Only this machine can connect: 'listen' is a loopback address.\n"
	}
	url := b.PublicURL(b.address.String())
	host := strings.TrimPrefix(strings.TrimPrefix(url, "https://"), "http://")
	if b.container && b.Auth.URL == "" && len(b.OwnNames) == 0 { // the name of a container is no name for others
		_, port, _ := net.SplitHostPort(b.address.String())
		name := "NAME"
		if leaf := b.certificate(); leaf != nil {
			name = cmp.Or(firstName(leaf), name)
		}
		host = net.JoinHostPort(name, port)
		url = b.url(host)
	}
	if strings.HasPrefix(url, "https://") {
		return fmt.Sprintf("Other machines reach it as %s, and have to trust its certificate authority.\nWhat they need: mirror client docker --host %s --ca FILE\n", url, url)
	}
	return fmt.Sprintf("Other machines reach it as %s. Docker there also needs { \"insecure-registries\": [%q] }, or TLS: mirror cert --host %s\nWhat they need: mirror client docker --host %s\n",
		url, host, hostOnly(host), url)
}

// here returns the address as clients on this machine use it: with localhost in it, or with a name in the certificate of
// the server if that is not valid for localhost.
func (b banner) here() string {
	here := reachable(b.address)
	host, port, err := net.SplitHostPort(here)
	leaf := b.certificate()
	if err != nil || leaf == nil || leaf.VerifyHostname(host) == nil || firstName(leaf) == "" {
		return here
	}
	return net.JoinHostPort(firstName(leaf), port)
}

// certificate returns the certificate of the server, or nil.
func (b banner) certificate() *x509.Certificate {
	if !b.TLS.Enabled() {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(b.TLS.CertFile, b.TLS.KeyFile)
	if err != nil {
		return nil
	}
	return pair.Leaf
}

// firstName returns the first name in a certificate that is not a pattern, or "".
func firstName(leaf *x509.Certificate) string {
	for _, name := range leaf.DNSNames {
		if !strings.HasPrefix(name, "*") {
			return name
		}
	}
	return ""
}

// url returns the URL of an address.
func (b banner) url(address string) string {
	if b.TLS.Enabled() {
		return "https://" + address
	}
	return "http://" + address
}

// hostOnly returns an address without its port.
func hostOnly(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// inContainer reports whether this process runs in a container of Docker, podman or Kubernetes.
func inContainer() bool {
	for _, path := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}

// reachable returns the address as clients on this machine use it.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr.String()
	}
	if tcp.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", tcp.Port)
	}
	return tcp.String()
}
