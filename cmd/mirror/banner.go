package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"airmirror/mirror"
)

// printBanner tells a newcomer what is running and what to write into a client's configuration.
func printBanner(out io.Writer, addr net.Addr, c serveConfig, mode mirror.Mode, access string) {
	scheme := "http://"
	if c.TLS.Enabled() {
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
		fmt.Fprintf(out, "upstreams: %s; bare names belong to the first\n", strings.Join(c.Hosts(), ", "))
	}
	fmt.Fprintf(out, "access: %s\n", access)
	if note := c.OpenLogins(); note != "" {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	if c.Names().Default == mirror.DockerHub {
		fmt.Fprintf(out, `
To pull from Docker Hub through it, put this into /etc/docker/daemon.json and restart Docker:

  { "registry-mirrors": ["%s"] }

`, url)
	}
	fmt.Fprintf(out, "To push to it: docker tag IMAGE %[1]s/NAME && docker push %[1]s/NAME\n\n", reachable(addr))
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
