//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// isolatedNetwork makes a network namespace with loopback in it and nothing else, no route, no DNS, and returns what to
// put in front of a command that is to run there.
func isolatedNetwork(t *testing.T) []string {
	t.Helper()
	need(t, "root", "ip", "nsenter")
	name := fmt.Sprintf("mirror-e2e-%d", testport.Free(t))
	env := environment(t)
	run(t, env, "ip", "netns", "add", name)
	t.Cleanup(func() {
		if r := try(t, env, "ip", "netns", "delete", name); r.code != 0 {
			t.Errorf("deleting the network namespace: %s", r.stderr)
		}
	})
	// Not `ip netns exec`, which mounts another /sys as well: dockerd finds no cgroups there.
	inside := []string{"nsenter", "--net=/run/netns/" + name}
	run(t, env, append(inside, "ip", "link", "set", "lo", "up")...)
	return inside
}
