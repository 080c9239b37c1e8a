package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
)

// gcConfig says what a collection takes out, and when the server collects by itself.
type gcConfig struct {
	gc.Schedule `yaml:",inline"`
}

// defaultGC is what holds where nothing is said.
func defaultGC() (c gcConfig) {
	c.Grace, c.Uploads, c.Pace = gc.Age(time.Hour), gc.Age(24*time.Hour), 1
	return c
}

func (c gcConfig) check() error {
	if err := c.schedule(mirror.Names{}).Validate(); err != nil {
		return fmt.Errorf("gc: %w", err)
	}
	if c.Every < 0 {
		return errors.New("gc: every: the time between two collections cannot be negative")
	}
	return nil
}

// schedule is c as the collector takes it: nothing is said with something negative there, as zero is the default, and
// repositories have their hosts in front.
func (c gcConfig) schedule(names mirror.Names) gc.Schedule {
	s := c.Schedule
	s.Rules = nil
	for _, rule := range c.Rules {
		for _, rule.Match = range spellings(names, rule.Match) {
			s.Rules = append(s.Rules, rule)
		}
	}
	s.Names = nil
	for _, pattern := range c.Names {
		s.Names = append(s.Names, spellings(names, pattern)...)
	}
	for _, age := range []*gc.Age{&s.Grace, &s.Uploads} {
		if *age == 0 {
			*age = -1
		}
	}
	if s.Pace == 0 {
		s.Pace = -1
	}
	return s
}

// spellings are a pattern of repositories as it is written and, if that leaves out the default host, with that: a rule
// that silently is about nothing would keep everything. A first part with a wildcard is one of hosts.
func spellings(names mirror.Names, pattern string) []string {
	first, _, _ := strings.Cut(pattern, "/")
	if full := admin.WithHost(names, pattern); full != pattern && !strings.ContainsAny(first, "*?[") {
		return []string{pattern, full}
	}
	return []string{pattern}
}

// scrubConfig says how often the server verifies by itself what is held, and how fast it reads for that.
type scrubConfig struct {
	Every gc.Age  `yaml:"every"` // never if it is zero
	Rate  gc.Size `yaml:"rate"`  // in a second
}

func (c scrubConfig) check() error {
	if c.Every < 0 {
		return errors.New("the time between two verifications cannot be negative")
	}
	return nil
}
