package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"

	"airmirror/mirror"
)

// printBanner prints the address of the server, its upstreams and access rules, and how to configure a client. It writes
// once, so that no log line falls into the text.
func printBanner(w io.Writer, s *server) {
	out := new(bytes.Buffer)
	defer out.WriteTo(w) //nolint:errcheck // the server runs all the same
	c, addr := s.settings, s.listener.Addr()
	scheme := "http://"
	if c.TLS.Enabled() {
		scheme = "https://"
	}
	url := scheme + reachable(addr)
	fmt.Fprintf(out, "mirror %s serves %s and stores everything in %s\n", s.opts.Version, url, c.Data)
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
	if c.Names().Default == mirror.DockerHub {
		fmt.Fprintf(out, `
To pull from Docker Hub through this mirror, add this to /etc/docker/daemon.json and restart Docker:

  { "registry-mirrors": ["%s"] }

`, url)
	}
	fmt.Fprintf(out, "To push: docker tag IMAGE %[1]s/NAME && docker push %[1]s/NAME\n\n", reachable(addr))
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
