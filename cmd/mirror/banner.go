package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"airmirror/mirror"
	"airmirror/upstream"
)

// printBanner tells a newcomer what is running and what to write into a client's configuration.
func printBanner(out io.Writer, addr net.Addr, c serveConfig, mode mirror.Mode, access string) {
	scheme := "http://"
	if c.TLS.enabled() {
		scheme = "https://"
	}
	url := scheme + reachable(addr)
	fmt.Fprintf(out, "mirror %s serves %s, with everything kept in %s\n", version, url, c.Data)
	switch {
	case c.Offline:
		fmt.Fprintln(out, "offline: no upstream is dialled")
	case mode == mirror.Offline:
		fmt.Fprintln(out, "offline: no upstream is dialled, until 'mirror mode auto'")
	default:
		fmt.Fprintf(out, "upstreams: %s; bare names belong to the first\n", strings.Join(c.hosts(), ", "))
	}
	fmt.Fprintf(out, "access: %s\n", access)
	if note := c.openLogins(); note != "" {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	if c.names().Default == mirror.DockerHub {
		fmt.Fprintf(out, `
To pull from Docker Hub through it, put this into /etc/docker/daemon.json and restart Docker:

  { "registry-mirrors": ["%s"] }

`, url)
	}
	fmt.Fprintf(out, "To push to it: docker tag IMAGE %[1]s/NAME && docker push %[1]s/NAME\n\n", reachable(addr))
}

// openLogins says of which upstreams everybody may pull what the mirror fetches with a login of its own, and what ends
// that; "" where that is nobody or rules say who may.
func (c config) openLogins() string {
	if len(c.Auth.Rules) > 0 || !c.Auth.AnonymousPull {
		return ""
	}
	var hosts []string
	for _, u := range c.Upstreams {
		if slices.ContainsFunc(u.Endpoints, func(e upstream.EndpointConfig) bool { return e.Credentials != (upstream.Credentials{}) }) {
			hosts = append(hosts, u.Host)
		}
	}
	if len(hosts) == 0 {
		return ""
	}
	return "everybody may pull what is fetched from " + strings.Join(hosts, ", ") + " with the mirror's login: 'auth.anonymousPull: false' lets only users pull, and rules say it more exactly"
}

// reachable is the address as a client on this machine writes it.
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
