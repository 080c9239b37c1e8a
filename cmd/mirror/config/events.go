package config

import (
	"fmt"
	"time"

	"airmirror/api/events"
	"airmirror/gc"
)

// Events configures the endpoints that receive events.
type Events struct {
	Queue     gc.Size         `yaml:"queue"` // limit of the queue of an endpoint
	Endpoints []EventEndpoint `yaml:"endpoints"`
}

// EventEndpoint configures an [events.Endpoint].
type EventEndpoint struct {
	Name             string        `yaml:"name"`
	URL              string        `yaml:"url" secret:"url"`
	Headers          []EventHeader `yaml:"headers,omitempty"`
	Timeout          Duration      `yaml:"timeout,omitempty"` // 10s if it is zero
	CAFile           string        `yaml:"caFile,omitempty"`
	Actions          []string      `yaml:"actions,omitempty"` // all if it is empty
	Match            []string      `yaml:"match,omitempty"`   // all if it is empty
	Ignore           []string      `yaml:"ignore,omitempty"`
	IgnoreMediaTypes []string      `yaml:"ignoreMediaTypes,omitempty"`
	Batch            int           `yaml:"batch,omitempty"` // 100 if it is zero
	Offline          bool          `yaml:"offline,omitempty"`
}

// EventHeader configures a header of the requests to an endpoint.
type EventHeader struct {
	Name      string `yaml:"name"`
	Value     string `yaml:"value,omitempty" secret:"true"`
	ValueFile string `yaml:"valueFile,omitempty"`
}

const minEventQueue = 1 << 20

func (c Events) checkQueue() error {
	if c.Queue < minEventQueue {
		return fmt.Errorf("%d: want %d bytes or more", c.Queue, minEventQueue)
	}
	return nil
}

func (c Events) checkEndpoints() error {
	names := map[string]bool{}
	for _, e := range c.List() {
		if err := e.Validate(); err != nil {
			return err
		}
		if names[e.Name] {
			return fmt.Errorf("endpoint %s is configured twice", e.Name)
		}
		names[e.Name] = true
	}
	return nil
}

// List returns the endpoints as package events takes them.
func (c Events) List() []events.Endpoint {
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
