package config

import (
	"strings"
	"testing"
)

func TestMisspeltVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"MIRROR_OFFLNE=1":                     "did you mean MIRROR_OFFLINE?",
		"MIRROR_UPSTREEM=x":                   "did you mean MIRROR_UPSTREAM?",
		"MIRROR_UPSTREAMS=[]":                 "",
		"MIRROR_LOGLEVEL=debug":               "did you mean MIRROR_LOG_LEVEL?",
		"MIRROR_OFFLINE=1":                    "",
		"MIRROR_PORT=tcp://10.0.0.1:5000":     "",
		"MIRROR_SERVICE_HOST=10.0.0.1":        "",
		"MIRROR_PORT_5000_TCP_ADDR=127.0.0.1": "",
		"OTHER_OFFLNE=1":                      "",
	} {
		got := strings.Join(MisspeltVariables([]string{variable}), "\n")
		if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: %q, want %q", variable, got, want)
		}
	}
}
