package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"airmirror/api/middleware"
	"airmirror/gc"
)

// Limits configures how much clients can request.
type Limits struct {
	Requests          int      `yaml:"requests"`
	RequestsPerSecond float64  `yaml:"requestsPerSecond"`
	Burst             int      `yaml:"burst"`
	PushRequests      int      `yaml:"pushRequests"`
	OpenUploads       int      `yaml:"openUploads"` // see [registry.OpenUploads]
	MissesPerSecond   float64  `yaml:"missesPerSecond"`
	StallTimeout      Duration `yaml:"stallTimeout"`
	// MinFree applies if it is not nil; see [Limits.MinFreeOf].
	MinFree *gc.Share `yaml:"minFree"`
}

// defaultMinFree are the defaults of [Limits.MinFree], of which the smaller one applies.
var defaultMinFree = [2]gc.Share{{Percent: 1}, {Bytes: 512 << 20}}

func (c Limits) check() error {
	var errs []error
	for _, limit := range []struct {
		name  string
		value float64
	}{
		{"requests", float64(c.Requests)}, {"requestsPerSecond", c.RequestsPerSecond}, {"burst", float64(c.Burst)}, {"pushRequests", float64(c.PushRequests)},
		{"openUploads", float64(c.OpenUploads)}, {"missesPerSecond", c.MissesPerSecond},
	} {
		if limit.value < 0 {
			errs = append(errs, keyError{"limits." + limit.name, fmt.Errorf("%v: want 0 or more", limit.value)})
		}
	}
	if c.StallTimeout > 0 {
		if err := c.StallTimeout.atLeast(time.Second); err != nil {
			errs = append(errs, keyError{"limits.stallTimeout", err})
		}
	}
	return errors.Join(errs...)
}

// Middleware returns the limits of requests as package middleware takes them.
func (c Config) Middleware() middleware.Settings {
	l := c.Limits
	burst := l.Burst
	if burst == 0 { // a pull begins with several requests at once
		burst = int(math.Ceil(2 * l.RequestsPerSecond))
	}
	return middleware.Settings{
		Requests: l.Requests, RequestsPerSecond: l.RequestsPerSecond, Burst: burst, Uploads: l.PushRequests, StallTimeout: time.Duration(l.StallTimeout),
		Proxies: c.proxies(),
	}
}

func (c Config) checkProxies() error {
	for _, text := range c.TrustedProxies {
		if _, err := middleware.ParseProxy(text); err != nil {
			return fmt.Errorf("%q is not the address or the network of a proxy: write it as 10.0.0.7 or 10.0.0.0/8", text)
		}
	}
	return nil
}

// proxies returns the trusted proxies. They are valid, as checkProxies was called before.
func (c Config) proxies() (all []netip.Prefix) {
	for _, text := range c.TrustedProxies {
		if proxy, err := middleware.ParseProxy(text); err == nil {
			all = append(all, proxy)
		}
	}
	return all
}

// MinFreeOf returns how many bytes stay free on a disk of the given size.
func (c Limits) MinFreeOf(total int64) int64 {
	if c.MinFree != nil {
		return c.MinFree.Of(total)
	}
	return min(defaultMinFree[0].Of(total), defaultMinFree[1].Of(total))
}
