package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"airmirror/mirror"
)

// duration is a flag that takes no duration below a least one.
type duration struct {
	value *time.Duration
	least time.Duration
}

// durationVar adds a flag that takes a duration of least or more.
func durationVar(f *pflag.FlagSet, p *time.Duration, name string, least, value time.Duration, usage string) {
	*p = value
	f.Var(&duration{p, least}, name, usage)
}

// Set implements [pflag.Value].
func (d *duration) Set(text string) error {
	value, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("want a duration like 5s or 10m")
	}
	if value < d.least {
		return fmt.Errorf("want a duration of %s or more", d.least)
	}
	*d.value = value
	return nil
}

func (d *duration) String() string {
	if d.value == nil {
		return "0s"
	}
	return d.value.String()
}

// Type implements [pflag.Value].
func (d *duration) Type() string { return "duration" }

// Set implements [pflag.Value].
func (f *freshness) Set(text string) error { return f.UnmarshalText([]byte(text)) }

func (f *freshness) String() string {
	if *f == freshness(mirror.Forever) {
		return "forever"
	}
	return time.Duration(*f).String()
}

// Type implements [pflag.Value].
func (f *freshness) Type() string { return "duration" }
