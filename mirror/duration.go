package mirror

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration parses the text of a duration in settings and flags: what [time.ParseDuration] reads, and days and weeks
// in front of it, such as 90s, 36h, 30d, 2w or 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	rest, sum := text, time.Duration(0)
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"w", 7 * day}, {"d", day}} {
		number, after, found := strings.Cut(rest, unit.name)
		n, err := strconv.ParseUint(number, 10, 63)
		if !found || err != nil {
			continue
		}
		if n > uint64((math.MaxInt64-sum)/unit.length) {
			return 0, fmt.Errorf("%q is too long: want at most 292 years", text)
		}
		sum, rest = sum+time.Duration(n)*unit.length, after
	}
	if rest == "" && text != "" {
		return sum, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || rest != text && (d < 0 || strings.ContainsAny(rest[:1], "+-")) || d > math.MaxInt64-sum {
		return 0, fmt.Errorf("%q is not a duration like 90s, 36h or 30d", text)
	}
	return sum + d, nil
}

// FormatDuration returns the shortest text that [ParseDuration] reads: whole days as 30d, others as 36h or 1m30s.
func FormatDuration(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
