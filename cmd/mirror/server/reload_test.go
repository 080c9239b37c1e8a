package server

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"airmirror/cmd/mirror/config"
)

// TestSettingsThatNeedARestart checks that all others can be reloaded, and that the documentation names these.
func TestSettingsThatNeedARestart(t *testing.T) {
	restart := []string{
		"listen", "data", "tls.redirectHTTP", "bundles.requireSignature", "bundles.destination", "verify.interval", "verify.rate", "metrics.enabled", "metrics.listen",
		"api.enabled", "api.listen", "console.enabled", "console.listen",
		"offline", "mode", "logFormat", "ignoreNondistributable",
		"store.cache.size", "store.postgres.caFile", "store.postgres.passwordFile", "store.postgres.url", "store.s3.accessKey", "store.s3.bucket",
		"store.s3.caFile", "store.s3.endpoint", "store.s3.pathStyle", "store.s3.prefix", "store.s3.region", "store.s3.secretKey",
		"store.s3.secretKeyFile",
	}
	r := newReloader(&server{Instance: &Instance{}}, nil, zap.NewAtomicLevel())
	var needs []string
	for _, key := range config.Keys() {
		if !r.has(key.Path) {
			needs = append(needs, key.Path)
		}
	}
	slices.Sort(needs)
	slices.Sort(restart)
	if !slices.Equal(needs, restart) {
		t.Errorf("settings that need a restart: %v\nwant: %v\nAdd a new key to a part of the reloader if it can be reloaded", needs, restart)
	}
	page, err := os.ReadFile("../../../deploy/docs/settings.md")
	must(t, err)
	_, listed, _ := strings.Cut(string(page), "These settings need a restart")
	listed, _, _ = strings.Cut(listed, ".\n")
	for _, key := range needs {
		section, _, _ := strings.Cut(key, ".")
		if !strings.Contains(listed, "`"+key+"`") && !strings.Contains(listed, "`"+section+"`") {
			t.Errorf("settings.md does not say that %s needs a restart: %q", key, listed)
		}
	}
}
