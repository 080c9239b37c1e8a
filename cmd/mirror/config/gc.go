package config

import (
	"fmt"
	"strings"
	"time"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// GC configures what the collector deletes, and when it runs.
type GC struct {
	gc.Schedule `yaml:",inline"`
	OnLowDisk   bool `yaml:"onLowDisk"` // collect when the disk is nearly full
}

func defaultGC() (c GC) {
	c.Grace, c.UploadTTL, c.Throttle = gc.Age(time.Hour), gc.Age(24*time.Hour), gc.DefaultThrottle
	c.OnLowDisk = true
	return c
}

func (c GC) check() error {
	if err := c.Collector(mirror.Names{}).Validate(); err != nil {
		return fmt.Errorf("gc: %w", err)
	}
	if c.Interval != 0 && c.Interval < gc.Age(time.Minute) {
		return keyError{"gc.interval", fmt.Errorf("%v: want at least 1m, or 0 to collect on request only", c.Interval)}
	}
	return nil
}

// Collector returns the schedule as package gc takes it. There, zero means the default and a negative value means zero.
// Patterns of repositories have their host.
func (c GC) Collector(names mirror.Names) gc.Schedule {
	s := c.Schedule
	s.IgnoreLowDisk = !c.OnLowDisk
	s.Rules = nil
	for _, rule := range c.Rules {
		for _, rule.Match = range withHosts(names, rule.Match) {
			s.Rules = append(s.Rules, rule)
		}
	}
	s.Evict = nil
	for _, pattern := range c.Evict {
		s.Evict = append(s.Evict, withHosts(names, pattern)...)
	}
	for _, age := range []*gc.Age{&s.Grace, &s.UploadTTL} {
		if *age == 0 {
			*age = -1
		}
	}
	if s.Throttle == 0 {
		s.Throttle = -1
	}
	return s
}

// withHosts returns a pattern of repositories and, if it leaves out the default host, the pattern with that host. Without
// it, the pattern would match nothing and keep everything. A first part with a wildcard is a pattern of hosts.
func withHosts(names mirror.Names, pattern string) []string {
	first, _, _ := strings.Cut(pattern, "/")
	if full := admin.WithHost(names, pattern); full != pattern && !strings.ContainsAny(first, "*?[") {
		return []string{pattern, full}
	}
	return []string{pattern}
}

// Verify configures how often the server verifies the store, and how fast it reads.
type Verify struct {
	Interval gc.Age  `yaml:"interval"` // zero is never
	Rate     gc.Size `yaml:"rate"`     // per second
}

func (c Verify) check() error {
	if c.Interval < 0 {
		return fmt.Errorf("%v: the interval cannot be negative", c.Interval)
	}
	return nil
}
