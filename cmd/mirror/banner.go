package main

import (
	"fmt"
	"io"
	"net"

	"airmirror/mirror"
)

// printBanner tells a newcomer what is running and what to write into a client's configuration.
func printBanner(out io.Writer, addr net.Addr, c serveConfig) {
	url := "http://" + reachable(addr)
	fmt.Fprintf(out, "mirror %s serves %s, with everything kept in %s\n", version, url, c.data)
	switch {
	case c.offline:
		fmt.Fprintln(out, "offline: no upstream is dialled")
	default:
		fmt.Fprintf(out, "bare names belong to %s; %d upstreams are known\n", c.file.Upstreams[0].Host, len(c.file.Upstreams))
	}
	if c.file.names().Default == mirror.DockerHub {
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
