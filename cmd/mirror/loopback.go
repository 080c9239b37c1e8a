package main

import (
	"errors"
	"net/netip"
	"strconv"

	"airmirror/upstream"
)

// loopbackPush says which requests over loopback have the rights of this machine.
type loopbackPush string

const (
	loopbackClients loopbackPush = "auto"  // those of processes that cannot be proxies; see [loopback.Judge]
	loopbackAll     loopbackPush = "true"  // all that show no sign of a proxy
	loopbackNever   loopbackPush = "false" // none
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *loopbackPush) UnmarshalText(text []byte) error {
	switch said := loopbackPush(text); said {
	case loopbackClients, loopbackAll, loopbackNever:
		*l = said
		return nil
	}
	return errors.New("want auto, true or false")
}

// MarshalText implements [encoding.TextMarshaler].
func (l loopbackPush) MarshalText() ([]byte, error) { return []byte(l), nil }

// loopbackUpstreams are the ports of this machine at which upstreams are configured.
func (c config) loopbackUpstreams() (ports []uint16) {
	for _, u := range c.Upstreams {
		for _, endpoint := range u.Endpoints {
			at, err := upstream.ParseEndpoint(endpoint.URL)
			if err != nil || !isLoopback(at.URL.Hostname()) {
				continue
			}
			if port, err := strconv.ParseUint(at.URL.Port(), 10, 16); err == nil {
				ports = append(ports, uint16(port))
			}
		}
	}
	return ports
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
