package auth_test

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/api/auth"
	"airmirror/mirror"
)

// TestFailedLoginIsLoggedInOneShortLine: a long name does not fill the log.
func TestFailedLoginIsLoggedInOneShortLine(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	guard, err := auth.New(auth.Options{Htpasswd: htpasswd(t, "alice"), Log: zap.New(core)})
	must(t, err)
	wantCode(t, guard, user("mallory"+strings.Repeat("y", 60<<10), "guess"), mirror.CodeUnauthorized)
	for _, entry := range logged.All() {
		if name, _ := entry.ContextMap()["user"].(string); !strings.HasPrefix(name, "mallory") || len(name) > 200 {
			t.Errorf("a name of %d bytes was logged: %.20q", len(name), name)
		}
	}
	if logged.Len() != 1 {
		t.Errorf("%d lines were logged, want 1", logged.Len())
	}
}
