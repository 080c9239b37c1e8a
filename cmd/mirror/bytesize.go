package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
)

// byteSize is a setting in bytes, written as 500GB or 4.7 GiB.
type byteSize int64

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *byteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(strings.TrimSpace(string(text)))
	if err != nil || n > 1<<62 {
		return errors.New("want a size like 500GB or 4.7GiB")
	}
	*s = byteSize(n)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (s byteSize) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Set implements [pflag.Value].
func (s *byteSize) Set(text string) error { return s.UnmarshalText([]byte(text)) }

// String implements [pflag.Value]: in the largest unit that says it exactly.
func (s byteSize) String() string {
	if s == 0 {
		return ""
	}
	for _, unit := range []struct {
		bytes byteSize
		name  string
	}{{1 << 40, "TiB"}, {1e12, "TB"}, {1 << 30, "GiB"}, {1e9, "GB"}, {1 << 20, "MiB"}, {1e6, "MB"}} {
		if s%unit.bytes == 0 {
			return fmt.Sprintf("%d%s", s/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

// Type implements [pflag.Value].
func (s byteSize) Type() string { return "size" }
