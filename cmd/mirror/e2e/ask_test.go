//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// ask runs a command beside the server, which must succeed, and returns what it printed.
func (s *server) ask(t *testing.T, command string, args ...string) string {
	t.Helper()
	return run(t, environment(t), append([]string{mirrorBin, command, "--data", s.data}, args...)...)
}

// askJSON is ask for an answer in JSON.
func (s *server) askJSON(t *testing.T, answer any, command string, args ...string) {
	t.Helper()
	if out := s.ask(t, command, append(args, "--json")...); json.Unmarshal([]byte(out), answer) != nil {
		t.Fatalf("mirror %s --json does not print what it should:\n%s", command, out)
	}
}

// listed is a line of `mirror ls --json`.
type listed struct {
	Name, Tag, Platform, Origin string
	Complete                    bool
	Size                        int64
}

// list lists what the mirror holds of what a pattern matches.
func (s *server) list(t *testing.T, pattern string) (images []listed) {
	t.Helper()
	s.askJSON(t, &images, "ls", pattern)
	return images
}

// wantComplete waits until an image of docker.io/library is complete, for these platforms and no other; for all if none
// is named.
func (s *server) wantComplete(t *testing.T, image string, platforms ...string) {
	t.Helper()
	eventually(t, image+" is complete", func() error {
		images := s.list(t, image)
		for _, i := range images {
			if wanted := len(platforms) == 0 || slices.Contains(platforms, i.Platform); i.Complete != wanted {
				return fmt.Errorf("complete is %v, want %v: %+v", i.Complete, wanted, i)
			}
		}
		if len(images) == 0 {
			return fmt.Errorf("it is not listed")
		}
		return nil
	})
}

// state is what a test reads of `mirror status --json`.
type state struct {
	Mode      string
	Wants     int
	Upstreams []struct {
		Host, Error string
		Down        bool
	}
}

// gone says whether an upstream counts as gone.
func (s state) gone(t *testing.T, host string) bool {
	t.Helper()
	for _, u := range s.Upstreams {
		if u.Host == host {
			return u.Down
		}
	}
	t.Fatalf("mirror status does not list %s: %+v", host, s)
	return false
}

func (s *server) status(t *testing.T) (state state) {
	t.Helper()
	s.askJSON(t, &state, "status")
	return state
}
