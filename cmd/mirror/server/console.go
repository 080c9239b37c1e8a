package server

import (
	"context"
	"net"
	"net/http"

	"airmirror/api/admin"
	"airmirror/api/ui"
	"airmirror/cmd/mirror/config"
)

// console says where the web console is served.
type console struct {
	enabled  bool
	listener net.Listener // nil without an address of its own
}

func newConsole(c config.Console) (console, error) {
	if !c.Enabled || c.Listen == "" {
		return console{enabled: c.Enabled}, nil
	}
	listener, err := listen(c.Listen, "console.listen")
	return console{enabled: true, listener: listener}, err
}

func (c console) close() {
	if c.listener != nil {
		c.listener.Close()
	}
}

type consoleConnKey struct{}

// withConn marks the context of a connection to the address of the console.
func (c console) withConn(ctx context.Context, conn net.Conn) context.Context {
	if c.listener == nil || portOf(conn.LocalAddr()) != portOf(c.listener.Addr()) {
		return ctx
	}
	return context.WithValue(ctx, consoleConnKey{}, true)
}

func portOf(address net.Addr) string {
	_, port, _ := net.SplitHostPort(address.String())
	return port
}

// withConsole returns next with the web console in front. On an address of its own there is nothing but the console.
func (s *server) withConsole(next http.Handler) http.Handler {
	if !s.console.enabled {
		return next
	}
	guarded := s.guard.API(ui.New(admin.InProcess(s.api), ui.Options{Sessions: s.guard, Settings: s.showSettings, Log: s.log}))
	if s.console.listener == nil {
		return ui.Route(guarded, next)
	}
	alone := ui.Route(guarded, http.NotFoundHandler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(consoleConnKey{}) != nil {
			alone.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// showSettings returns the settings in effect as YAML, with the origin of each as it was when the server started. Secrets are masked.
func (s *server) showSettings() (string, error) {
	return config.Loaded{Config: *s.current(), Origins: s.settings.Origins}.Show()
}
