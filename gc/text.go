package gc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Age is how old something is. As text it is a duration like 90m or 36h, or a number of days or weeks like 30d or 2w.
type Age time.Duration

const day = 24 * time.Hour

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *Age) UnmarshalText(text []byte) error {
	s := string(text)
	for unit, length := range map[string]time.Duration{"d": day, "w": 7 * day} {
		number, ok := strings.CutSuffix(s, unit)
		if n, err := strconv.Atoi(number); ok && err == nil && n >= 0 && n <= int(math.MaxInt64/length) {
			*a = Age(time.Duration(n) * length)
			return nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a time like 90m, 36h or 30d", s)
	}
	*a = Age(d)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String returns what UnmarshalText reads.
func (a Age) String() string {
	if d := time.Duration(a); d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return time.Duration(a).String()
}

// Size is a number of bytes. As text it is a number with or without a unit, like 500GB or 20GiB.
type Size int64

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	bytes, err := humanize.ParseBytes(string(text))
	if err != nil || bytes > math.MaxInt64 {
		return fmt.Errorf("%q is not a size like 500GB or 20GiB", text)
	}
	*s = Size(bytes)
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns what UnmarshalText reads.
func (s Size) String() string { return strconv.FormatInt(int64(s), 10) }

// Share is a part of a disk: some bytes or some percent of it, of which one is zero. As text it is a [Size] or a
// percentage, like 20GB or 10%.
type Share struct {
	Bytes   Size
	Percent float64
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Share) UnmarshalText(text []byte) error {
	if number, ok := strings.CutSuffix(string(text), "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return fmt.Errorf("%q is not a part of a disk like 10%%", text)
		}
		*s = Share{Percent: percent}
		return nil
	}
	*s = Share{}
	if s.Bytes.UnmarshalText(text) != nil {
		return fmt.Errorf("%q is neither a size like 20GB nor a part of a disk like 10%%", text)
	}
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns what UnmarshalText reads.
func (s Share) String() string {
	if s.Percent != 0 {
		return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%"
	}
	return s.Bytes.String()
}

// IsZero reports whether it is nothing.
func (s Share) IsZero() bool { return s == Share{} }

// Of returns how many bytes it is of a disk of total bytes.
func (s Share) Of(total int64) int64 {
	return int64(s.Bytes) + int64(s.Percent/100*float64(total))
}
