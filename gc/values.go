package gc

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"airmirror/mirror"
)

// Age is a duration. Its text is one of [mirror.ParseDuration].
type Age time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *Age) UnmarshalText(text []byte) error {
	d, err := mirror.ParseDuration(string(text))
	if err != nil {
		return err
	}
	*a = Age(d)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String returns the text that UnmarshalText reads.
func (a Age) String() string { return mirror.FormatDuration(time.Duration(a)) }

// Size is a number of bytes. Its text is a number with a unit, like 500GB or 20GiB. A number without a unit is an
// error: it is more often a mistake than intended.
type Size int64

// errNoUnit is the error of a size without a unit.
var errNoUnit = errors.New("has no unit")

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	n, err := parseSize(string(text))
	switch {
	case errors.Is(err, errNoUnit):
		return fmt.Errorf("%q has no unit: write 500GB or 20GiB", text)
	case err != nil:
		return fmt.Errorf("%q is not a size: write 500GB or 20GiB", text)
	}
	*s = n
	return nil
}

func parseSize(text string) (Size, error) {
	text = strings.TrimSpace(text)
	n, err := humanize.ParseBytes(text)
	switch {
	case err != nil:
		return 0, err
	case n > math.MaxInt64:
		return 0, errors.New("is too large")
	case n > 0 && !unicode.IsLetter(rune(text[len(text)-1])):
		return 0, errNoUnit
	}
	return Size(n), nil
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the text that UnmarshalText reads, in the largest unit that is exact.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, unit := range []struct {
		bytes Size
		name  string
	}{{1 << 40, "TiB"}, {1e12, "TB"}, {1 << 30, "GiB"}, {1e9, "GB"}, {1 << 20, "MiB"}, {1e6, "MB"}} {
		if s%unit.bytes == 0 {
			return strconv.FormatInt(int64(s/unit.bytes), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// Share is a part of a disk, in bytes or in percent; one of the two is zero. Its text is a [Size] or a percentage,
// like 20GB or 10%.
type Share struct {
	Bytes   Size
	Percent float64
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Share) UnmarshalText(text []byte) error {
	if number, ok := strings.CutSuffix(string(text), "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return fmt.Errorf("%q is not a percentage of 0%% to 100%%", text)
		}
		*s = Share{Percent: percent}
		return nil
	}
	n, err := parseSize(string(text))
	switch {
	case errors.Is(err, errNoUnit):
		return fmt.Errorf("%q has no unit: write 500GB or 10%%", text)
	case err != nil:
		return fmt.Errorf("%q is neither a size nor a percentage: write 500GB or 10%%", text)
	}
	*s = Share{Bytes: n}
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the text that UnmarshalText reads.
func (s Share) String() string {
	if s.Percent != 0 {
		return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%"
	}
	return s.Bytes.String()
}

// IsZero reports whether the share is zero.
func (s Share) IsZero() bool { return s == Share{} }

// Of returns the share of a disk of total bytes, in bytes.
func (s Share) Of(total int64) int64 {
	return int64(s.Bytes) + int64(s.Percent/100*float64(total))
}
