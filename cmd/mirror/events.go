package main

import (
	"fmt"
	"net"
	"path/filepath"

	"go.uber.org/zap"

	"airmirror/api/events"
	"airmirror/cmd/mirror/config"
	"airmirror/mirror"
)

// openEvents returns what takes events of a mirror, which is served at a port. Nothing is delivered yet.
func (c serveConfig) openEvents(listen string, log *zap.Logger) (*events.Events, error) {
	_, port, _ := net.SplitHostPort(listen)
	e := events.New(events.Options{
		Dir: filepath.Join(c.Data, "events"), Names: func() mirror.Names { return c.current().Names() }, URL: func() string { return c.current().PublicURL(listen) },
		Address: net.JoinHostPort(config.HostName(), port), Agent: "mirror/" + version, Log: log,
	})
	use, err := e.Configure(c.Events.List(), int64(c.Events.Queue))
	if err != nil {
		e.Close()
		return nil, &exitError{exitUsage, fmt.Errorf("events: %w", err)}
	}
	use()
	return e, nil
}
