package main

import (
	"testing"
	"time"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func TestUpstreamState(t *testing.T) {
	for want, u := range map[string]mirror.UpstreamStatus{
		"no request yet":       {},
		"ok":                   {Asked: true},
		"1 failure: no answer": {Asked: true, Failures: 1, Error: "no answer"},
		"2 failures: 500":      {Asked: true, Failures: 2, Error: "500"},
		"it is rate-limited":   {Asked: true, Error: "it is rate-limited"},
		"down, now: dead":      {Asked: true, Failures: 3, Down: true, Since: time.Now(), Error: "dead"},
	} {
		if got := upstreamState(mirror.Auto, u); got != want {
			t.Errorf("%+v: %q, want %q", u, got, want)
		}
		if got := upstreamState(mirror.Offline, u); got != "not used" {
			t.Errorf("offline: %q", got)
		}
	}
}

func TestDiskText(t *testing.T) {
	for want, d := range map[string]admin.Disk{
		"60 GiB free of 100 GiB": {Total: 100 << 30, Free: 60 << 30, MinFree: 1 << 30},
		"1.5 GiB free of 100 GiB; low: pushes are refused when less than 1.0 GiB is free (limits.minFree)": {Total: 100 << 30, Free: 3 << 29, MinFree: 1 << 30},
		"10 MiB free of 100 GiB; full: pushes are refused until 1.0 GiB are free (limits.minFree)":         {Total: 100 << 30, Free: 10 << 20, MinFree: 1 << 30},
	} {
		if got := diskText(d); got != want {
			t.Errorf("%+v: %q, want %q", d, got, want)
		}
	}
}

func TestExpiryText(t *testing.T) {
	now := time.Now()
	for want, expires := range map[string]time.Time{
		"expires " + now.Add(400*day).UTC().Format("2006-01-02") + ", 1 year from now":                              now.Add(400 * day),
		"expires " + now.Add(20*day).UTC().Format("2006-01-02") + ", 2 weeks from now: renew it with 'mirror cert'": now.Add(20 * day),
		"expired 2 days ago: clients refuse it; renew it with 'mirror cert'":                                        now.Add(-49 * time.Hour),
	} {
		if got := expiryText(expires, now); got != want {
			t.Errorf("%s: %q, want %q", expires, got, want)
		}
	}
}
