package main

import (
	"fmt"
	"time"

	"airmirror/mirror"
)

// duration is a setting that takes no negative duration.
type duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *duration) UnmarshalText(text []byte) error {
	value, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a duration like 5s or 10m")
	}
	if value < 0 {
		return fmt.Errorf("want a duration of 0 or more")
	}
	*d = duration(value)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (d duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// atLeast reports whether d is shorter than a least duration.
func (d duration) atLeast(least time.Duration) error {
	if time.Duration(d) < least {
		return fmt.Errorf("%s: want a duration of %s or more", d, least)
	}
	return nil
}

// Set implements [pflag.Value].
func (d *duration) Set(text string) error { return d.UnmarshalText([]byte(text)) }

// String implements [pflag.Value].
func (d duration) String() string { return time.Duration(d).String() }

// Type implements [pflag.Value].
func (d duration) Type() string { return "duration" }

// freshness is a duration, or "forever".
type freshness time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *freshness) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*f = freshness(mirror.Forever)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is neither a duration like 5m nor forever", text)
	}
	*f = freshness(d)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (f freshness) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Set implements [pflag.Value].
func (f *freshness) Set(text string) error { return f.UnmarshalText([]byte(text)) }

// String implements [pflag.Value].
func (f freshness) String() string {
	if f == freshness(mirror.Forever) {
		return "forever"
	}
	return time.Duration(f).String()
}

// Type implements [pflag.Value].
func (f freshness) Type() string { return "duration" }
