package main

import (
	"testing"
	"time"

	"airmirror/mirror"
)

func TestUpstreamState(t *testing.T) {
	for want, u := range map[string]mirror.UpstreamStatus{
		"no request yet":       {},
		"ok":                   {Asked: true},
		"1 failure: no answer": {Asked: true, Failures: 1, Error: "no answer"},
		"2 failures: 500":      {Asked: true, Failures: 2, Error: "500"},
		"it is rate-limited":   {Asked: true, Error: "it is rate-limited"},
		"down, now: dead":      {Asked: true, Failures: 3, Down: true, Since: time.Now().Unix(), Error: "dead"},
	} {
		if got := upstreamState(mirror.Auto, u); got != want {
			t.Errorf("%+v: %q, want %q", u, got, want)
		}
		if got := upstreamState(mirror.Offline, u); got != "not used" {
			t.Errorf("offline: %q", got)
		}
	}
}
