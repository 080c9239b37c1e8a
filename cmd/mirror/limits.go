package main

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"airmirror/api/middleware"
	"airmirror/cache"
	"airmirror/gc"
	"airmirror/mirror"
)

// limitsConfig says how much clients may ask for at a time.
type limitsConfig struct {
	Requests          int      `yaml:"requests"` // at a time; 0 for any number
	RequestsPerSecond float64  `yaml:"requestsPerSecond"`
	Burst             int      `yaml:"burst"`       // 0 for twice as many as in a second
	Uploads           int      `yaml:"uploads"`     // requests that push
	OpenUploads       int      `yaml:"openUploads"` // of a client, that have not ended; see [registry.OpenUploads]
	MissesPerSecond   float64  `yaml:"missesPerSecond"`
	Stall             duration `yaml:"stall"`
	// MinFree is how much of the disk stays free; the smaller one of defaultMinFree if it is not said.
	MinFree *gc.Share `yaml:"minFree"`
}

// defaultMinFree are two shares of a disk, of which the smaller one stays free.
var defaultMinFree = [2]gc.Share{{Percent: 1}, {Bytes: 512 << 20}}

func defaultLimits() limitsConfig {
	return limitsConfig{Requests: 8192, OpenUploads: 10_000, MissesPerSecond: 200, Stall: duration(5 * time.Minute)}
}

func (c limitsConfig) check() error {
	for name, n := range map[string]float64{
		"requests": float64(c.Requests), "requestsPerSecond": c.RequestsPerSecond, "burst": float64(c.Burst), "uploads": float64(c.Uploads), "openUploads": float64(c.OpenUploads), "missesPerSecond": c.MissesPerSecond,
	} {
		if n < 0 {
			return fmt.Errorf("%s: %v: want 0 or more", name, n)
		}
	}
	if c.Stall > 0 {
		return c.Stall.atLeast(time.Second)
	}
	return nil
}

// front is what requests pass first.
func (c config) front() middleware.Settings {
	l := c.Limits
	burst := l.Burst
	if burst == 0 { // a pull begins with several requests at once
		burst = int(math.Ceil(2 * l.RequestsPerSecond))
	}
	return middleware.Settings{
		Requests: l.Requests, RequestsPerSecond: l.RequestsPerSecond, Burst: burst, Uploads: l.Uploads, Stall: time.Duration(l.Stall),
		Proxies: c.proxies(),
	}
}

func (c config) checkProxies() error {
	for _, text := range c.TrustedProxies {
		if _, err := middleware.ParseProxy(text); err != nil {
			return fmt.Errorf("%q is not the address of a proxy, or a network of them: write it as 10.0.0.7 or 10.0.0.0/8", text)
		}
	}
	return nil
}

func (c config) proxies() (all []netip.Prefix) {
	for _, text := range c.TrustedProxies {
		if proxy, err := middleware.ParseProxy(text); err == nil { // it was checked
			all = append(all, proxy)
		}
	}
	return all
}

// minFree is how much of a disk of that size stays free, in bytes.
func (c limitsConfig) minFree(total int64) int64 {
	if c.MinFree != nil {
		return c.MinFree.Of(total)
	}
	return min(defaultMinFree[0].Of(total), defaultMinFree[1].Of(total))
}

// room is what refuses what the disk has no room for.
func (c serveConfig) room(store mirror.Store) func(need int64) error {
	held, ok := store.(*cache.Store)
	if !ok { // nobody knows how large the disk is
		return nil
	}
	return held.Floor(func(total int64) int64 { return c.current().Limits.minFree(total) }).Check
}
