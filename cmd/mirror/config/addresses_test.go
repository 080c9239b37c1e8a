package config

import (
	"path/filepath"
	"testing"
	"time"

	"airmirror/api/certs"
	"airmirror/cmd/mirror/config/settings"
	"airmirror/upstream"
)

func TestOwnAddresses(t *testing.T) {
	folder := t.TempDir()
	if _, err := certs.Make(folder, []string{"reg.example", "10.0.0.7"}, false, time.Hour); err != nil {
		t.Fatal(err)
	}
	secure := TLS{CertFile: filepath.Join(folder, certs.ServerCert), KeyFile: filepath.Join(folder, certs.ServerKey)}
	for name, tt := range map[string]struct {
		change func(c *Config)
		own    []string
		others []string
	}{
		"as it is": {func(*Config) {}, []string{"localhost:5000", "127.0.0.1:5000", "[::1]:5000"},
			[]string{"localhost", "localhost:5001", "127.0.0.1", "docker.io", "reg.example:5000", ""}},
		"one address":    {func(c *Config) { c.Listen = "192.0.2.1:80" }, []string{"192.0.2.1:80", "192.0.2.1", "localhost:80", "localhost"}, []string{"192.0.2.1:5000"}},
		"a port by name": {func(c *Config) { c.Listen = ":https"; c.TLS = secure }, []string{"localhost:443", "reg.example", "reg.example:443"}, []string{"localhost:https"}},
		"any port":       {func(c *Config) { c.Listen = "127.0.0.1:0" }, nil, []string{"127.0.0.1:0", "127.0.0.1", "localhost"}},
		"a certificate":  {func(c *Config) { c.TLS = secure }, []string{"reg.example:5000", "reg.example", "10.0.0.7:5000", "localhost:5000"}, []string{"localhost"}},
		"auth.url":       {func(c *Config) { c.Auth.URL = "https://Reg.Corp/mirror" }, []string{"reg.corp"}, []string{"reg.corp:5000", "Reg.Corp"}},
		"ownNames":       {func(c *Config) { c.OwnNames = []string{"Registry:5000"} }, []string{"registry:5000"}, []string{"registry"}},
		"an upstream": {func(c *Config) {
			c.OwnNames = []string{"hub.example:5000"}
			c.Upstream = []string{"http://hub.example:5000"}
		}, nil, []string{"hub.example:5000"}},
		"an upstream here": {func(c *Config) { c.Upstreams = []Upstream{{Config: upstreamAt("localhost:5000")}} }, []string{"127.0.0.1:5000"}, []string{"localhost:5000"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := Default()
			tt.change(&c)
			c, err := c.Complete(settings.Origins{})
			if err != nil {
				t.Fatal(err)
			}
			own := c.Names().Own
			for _, address := range tt.own {
				if !own[address] {
					t.Errorf("%s is not its own, but %v", address, own)
				}
			}
			for _, address := range tt.others {
				if own[address] {
					t.Errorf("%q is its own", address)
				}
			}
		})
	}
	c := Default()
	c.OwnNames = []string{"https://reg.example"}
	if _, err := c.Complete(settings.Origins{}); err == nil {
		t.Error("a URL is taken for an address")
	}
}

func upstreamAt(host string) upstream.Config { return upstream.Config{Host: host} }
