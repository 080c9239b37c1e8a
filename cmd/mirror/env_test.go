package main

import (
	"strings"
	"testing"
)

func TestTyposInTheEnvironment(t *testing.T) {
	for variable, want := range map[string]string{
		"MIRROR_OFFLNE=1":                     "is it MIRROR_OFFLINE?",
		"MIRROR_UPSTREEM=x":                   "is it MIRROR_UPSTREAM?",
		"MIRROR_UPSTREAMS=[]":                 "",
		"MIRROR_LOGLEVEL=debug":               "is it MIRROR_LOG_LEVEL?",
		"MIRROR_OFFLINE=1":                    "",
		"MIRROR_PORT=tcp://10.0.0.1:5000":     "",
		"MIRROR_SERVICE_HOST=10.0.0.1":        "",
		"MIRROR_PORT_5000_TCP_ADDR=127.0.0.1": "",
		"OTHER_OFFLNE=1":                      "",
	} {
		var out strings.Builder
		warnOfTypos(&out, []string{variable})
		if got := out.String(); (got == "") != (want == "") || !strings.Contains(got, want) || strings.Count(got, "\n") > 1 {
			t.Errorf("%s: %q, want %q", variable, got, want)
		}
	}
}
