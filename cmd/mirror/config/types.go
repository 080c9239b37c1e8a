package config

import (
	"errors"
	"fmt"
	"time"

	"airmirror/mirror"
)

// Duration is a duration of zero or more. Its text is one of [mirror.ParseDuration].
type Duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	value, err := mirror.ParseDuration(string(text))
	if err != nil {
		return errors.New("want a duration like 5s, 10m or 7d")
	}
	if value < 0 {
		return errors.New("want a duration of 0 or more")
	}
	*d = Duration(value)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// atLeast returns an error if d is less than least.
func (d Duration) atLeast(least time.Duration) error {
	if time.Duration(d) < least {
		return fmt.Errorf("%s: want a duration of %s or more", d, least)
	}
	return nil
}

// Set implements [pflag.Value].
func (d *Duration) Set(text string) error { return d.UnmarshalText([]byte(text)) }

// String implements [pflag.Value].
func (d Duration) String() string { return mirror.FormatDuration(time.Duration(d)) }

// Type implements [pflag.Value].
func (d Duration) Type() string { return "duration" }

// TTL is the time to live of a tag. As text it is a duration, or "forever" for [mirror.Forever].
type TTL time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *TTL) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*t = TTL(mirror.Forever)
		return nil
	}
	d, err := mirror.ParseDuration(string(text))
	if err != nil || d < 0 {
		return errors.New("want a duration like 5m or 7d, or forever")
	}
	*t = TTL(d)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (t TTL) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Set implements [pflag.Value].
func (t *TTL) Set(text string) error { return t.UnmarshalText([]byte(text)) }

// String implements [pflag.Value].
func (t TTL) String() string {
	if t == TTL(mirror.Forever) {
		return "forever"
	}
	return mirror.FormatDuration(time.Duration(t))
}

// Type implements [pflag.Value].
func (t TTL) Type() string { return "duration" }
