package main

import (
	"fmt"
	"net"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"airmirror/api/events"
	"airmirror/gc"
	"airmirror/mirror"
)

// eventsConfig says who is told of what happens.
type eventsConfig struct {
	// Queue is how large the queue of an endpoint may become.
	Queue     gc.Size         `yaml:"queue"`
	Endpoints []eventEndpoint `yaml:"endpoints"`
}

// eventEndpoint is an [events.Endpoint].
type eventEndpoint struct {
	Name             string        `yaml:"name"`
	URL              string        `yaml:"url" secret:"url"`
	Headers          []eventHeader `yaml:"headers,omitempty"`
	Timeout          duration      `yaml:"timeout,omitempty"` // 10s if it is zero
	CAFile           string        `yaml:"caFile,omitempty"`
	Actions          []string      `yaml:"actions,omitempty"` // all if there are none
	Match            []string      `yaml:"match,omitempty"`
	Ignore           []string      `yaml:"ignore,omitempty"`
	IgnoreMediaTypes []string      `yaml:"ignoreMediaTypes,omitempty"`
	Batch            int           `yaml:"batch,omitempty"` // 100 if it is zero
	Offline          bool          `yaml:"offline,omitempty"`
}

type eventHeader struct {
	Name      string `yaml:"name"`
	Value     string `yaml:"value,omitempty" secret:"true"`
	ValueFile string `yaml:"valueFile,omitempty"`
}

const (
	defaultEventQueue = 64 << 20
	leastEventQueue   = 1 << 20
)

func (c eventsConfig) checkQueue() error {
	if c.Queue < leastEventQueue {
		return fmt.Errorf("%d: want %d bytes or more", c.Queue, leastEventQueue)
	}
	return nil
}

func (c eventsConfig) checkEndpoints() error {
	names := map[string]bool{}
	for _, e := range c.endpoints() {
		if err := e.Validate(); err != nil {
			return err
		}
		if names[e.Name] {
			return fmt.Errorf("endpoint %s is there twice", e.Name)
		}
		names[e.Name] = true
	}
	return nil
}

func (c eventsConfig) endpoints() []events.Endpoint {
	all := make([]events.Endpoint, len(c.Endpoints))
	for i, e := range c.Endpoints {
		all[i] = events.Endpoint{
			Name: e.Name, URL: e.URL, Timeout: time.Duration(e.Timeout), CAFile: e.CAFile, Match: e.Match, Ignore: e.Ignore,
			IgnoreMediaTypes: e.IgnoreMediaTypes, Batch: e.Batch, Offline: e.Offline,
		}
		for _, h := range e.Headers {
			all[i].Headers = append(all[i].Headers, events.Header(h))
		}
		for _, action := range e.Actions {
			all[i].Actions = append(all[i].Actions, events.Action(action))
		}
	}
	return all
}

// openEvents returns what takes events of a mirror, which is served at a port. Nothing is delivered yet.
func (c serveConfig) openEvents(listen string, log *zap.Logger) (*events.Events, error) {
	_, port, _ := net.SplitHostPort(listen)
	e := events.New(events.Options{
		Dir: filepath.Join(c.Data, "events"), Names: func() mirror.Names { return c.current().names() }, URL: func() string { return c.current().publicURL(listen) },
		Address: net.JoinHostPort(hostName(), port), Agent: "mirror/" + version, Log: log,
	})
	use, err := e.Configure(c.Events.endpoints(), int64(c.Events.Queue))
	if err != nil {
		e.Close()
		return nil, &exitError{exitUsage, fmt.Errorf("events: %w", err)}
	}
	use()
	return e, nil
}

// publicURL is where clients reach the mirror by what the settings say: auth.url, the first of ownNames, or the address
// that it listens on, with the machine's name where that stands for every address.
func (c config) publicURL(listen string) string {
	if c.Auth.URL != "" {
		return c.Auth.URL
	}
	scheme := "http://"
	if c.TLS.enabled() {
		scheme = "https://"
	}
	if len(c.OwnNames) > 0 {
		return scheme + c.OwnNames[0]
	}
	host, port, _ := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = hostName()
	}
	return scheme + net.JoinHostPort(host, port)
}
