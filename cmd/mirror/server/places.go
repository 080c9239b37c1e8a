package server

import (
	"context"
	"net"
	"net/http"

	"airmirror/cmd/mirror/config"
)

// places say where the parts of the server besides the registry are served.
type places struct{ api, console place }

// place says where a part is served: on the main address, or only on one of its own.
type place struct {
	enabled  bool
	listener net.Listener // nil without an address of its own
}

// newPlaces listens on the addresses of parts that have their own. The caller closes the result.
func newPlaces(c config.Config) (p places, err error) {
	if p.api, err = newPlace(c.API.Enabled, c.API.Listen, "api.listen"); err != nil {
		return p, err
	}
	if p.console, err = newPlace(c.Console.Enabled, c.Console.Listen, "console.listen"); err != nil {
		p.close()
	}
	return p, err
}

func newPlace(enabled bool, address, setting string) (place, error) {
	if !enabled || address == "" {
		return place{enabled: enabled}, nil
	}
	listener, err := listen(address, setting)
	return place{enabled: true, listener: listener}, err
}

// close closes the listeners. It is for a server that did not serve on them.
func (p places) close() {
	for _, listener := range p.listeners() {
		listener.Close()
	}
}

// listeners returns the listeners of parts with an address of their own.
func (p places) listeners() (all []net.Listener) {
	for _, one := range []place{p.api, p.console} {
		if one.listener != nil {
			all = append(all, one.listener)
		}
	}
	return all
}

type listenerKey struct{}

// withConn marks the context of a connection to an address of a part.
func (p places) withConn(ctx context.Context, conn net.Conn) context.Context {
	for _, listener := range p.listeners() {
		if portOf(conn.LocalAddr()) == portOf(listener.Addr()) {
			return context.WithValue(ctx, listenerKey{}, listener)
		}
	}
	return ctx
}

// serves reports whether a request came to the address of a part of its own.
func (p place) serves(r *http.Request) bool {
	return p.listener != nil && r.Context().Value(listenerKey{}) == p.listener
}

func portOf(address net.Addr) string {
	_, port, _ := net.SplitHostPort(address.String())
	return port
}
