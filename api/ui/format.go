package ui

import (
	"fmt"
	"strings"
	"time"

	humanize "github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// functions returns the functions of templates in the language of l.
func (l *look) functions() map[string]any {
	return map[string]any{
		"t": l.text, "n": l.count, "code": l.code, "size": size, "number": number, "ago": l.ago, "stamp": stamp, "iso": iso, "short": short,
		"percent": percent, "pulls": pulls, "target": admin.LoggedChange.Target, "zero": time.Time.IsZero, "dict": dict, "join": strings.Join, "inc": func(i int) int { return i + 1 },
	}
}

// size returns a number of bytes with a binary unit, as the commands print it.
func size(n int64) string {
	return humanize.IBytes(uint64(max(n, 0)))
}

func number(n int) string { return humanize.Comma(int64(n)) }

// ago returns how long ago a time was, or how long it takes until then.
func (l *look) ago(t time.Time) string {
	if t.IsZero() {
		return l.text("time.never")
	}
	d := time.Since(t)
	form := "time.ago"
	if d < 0 {
		form, d = "time.in", -d
	}
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"years", 365 * 24 * time.Hour}, {"months", 30 * 24 * time.Hour}, {"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}} {
		if n := int(d / unit.of); n > 0 {
			return l.text(form, l.count("time."+unit.name, n))
		}
	}
	return l.text(form, l.count("time.seconds", int(d/time.Second)))
}

// stamp returns a time for people, and iso one for attributes.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
func iso(t time.Time) string   { return t.UTC().Format(time.RFC3339) }

// pulls returns how often an image was pulled on all of the days.
func pulls(days []mirror.PullDay) (n int) {
	for _, day := range days {
		n += int(day.Pulls)
	}
	return n
}

// short returns the first digits of a digest.
func short(d digest.Digest) string {
	if d == "" {
		return ""
	}
	encoded := d.Encoded()
	return encoded[:min(len(encoded), 12)]
}

// percent returns how much of total part is, from 0 to 100.
func percent(part, total int64) int {
	if total <= 0 {
		return 0
	}
	return int(min(100, max(0, part)*100/total))
}

// dict returns a map of keys and values, for a template with several values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, mirror.Errorf(mirror.CodeUnknown, "dict needs pairs of keys and values")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}
